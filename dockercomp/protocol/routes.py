"""The table of HTTP routes: every URL of the API, who may call it, and what goes in and out.

The master registers its handlers from this table and refuses to start where one is missing; clients build URLs from
it; the OpenAPI document and the tests of who may call what are made from it.
"""

from dataclasses import dataclass
from typing import Literal

from . import keychain, messages, people, quotas, scientists, views
from .people import Scope

Who = Literal["public", "client", "user", "admin", "user or client"]
"""`user` is a person, in each role as far as its method allows (see Route.scope). Where a path names a `<job>`, a
`<chunk>` or a `<subject>`, a scientist reaches those of their own jobs only, and a client those it holds a lease of."""

UNAUDITED = {
    "sync": "a client's heartbeat, many a second; what it changes stands in the chunks",
    "blob_put": "a part of an upload; what uses it is noted",
    "blobs_missing": "asks only",
    "job_forecast": "asks only",
}
"""Routes that send a body and leave no entry in the audit log, each with the reason."""

JSON_LIMIT = 1024 * 1024
PUBLIC_LIMIT = 64 * 1024
"""Of what anybody may send."""
SYNC_BODY_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True)
class Route:
    """One URL. `request` and `answer` are message types; None means no JSON body. `body_limit` is in bytes."""

    name: str
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE"]
    path: str
    who: Who
    summary: str
    request: type | None = None
    answer: type | None = None
    body_limit: int = JSON_LIMIT
    transfer: bool = False
    """Streams payloads: takes one of the places kept for transfers."""

    @property
    def scope(self) -> Scope:
        """What a person's role and token must both grant."""
        if self.who == "admin":
            return "admin"
        return "read" if self.method in ("GET", "HEAD") else "submit"

    @property
    def audited(self) -> bool:
        """Whether calling it leaves an entry in the audit log: everything that changes something does."""
        return self.method not in ("GET", "HEAD") and self.name not in UNAUDITED

    def url(self, **parts: str) -> str:
        """The path with its `<parts>` filled in."""
        path = self.path
        for name, value in parts.items():
            path = path.replace(f"<{name}>", value)
        return path


ROUTES = (
    Route("healthz", "GET", "/healthz", "public", "The process serves.", answer=views.Health),
    Route("readyz", "GET", "/readyz", "public", "The store can be reached and written.", answer=views.Health),
    Route("metrics", "GET", "/metrics", "public", "Prometheus metrics."),
    Route("openapi", "GET", "/api/v1/openapi.json", "public", "This API as an OpenAPI 3.1 document."),
    Route("docs", "GET", "/api/v1/docs", "public", "This API as a page."),
    Route("installer", "GET", "/installer.sh", "public", "The volunteer's installer with this master's address."),
    Route(
        "worker_wheel",
        "GET",
        "/worker/<filename>",
        "public",
        "The worker's package and its locked requirements.",
        transfer=True,
    ),
    Route(
        "master_keys",
        "GET",
        "/api/v1/keys",
        "public",
        "The key that the master signs with, and the chain of those before it.",
        answer=keychain.KeyChain,
    ),
    # workers
    Route(
        "enrol",
        "POST",
        "/api/v1/enrol",
        "public",
        "Become a client, with an enrolment token.",
        messages.EnrolRequest,
        messages.EnrolAnswer,
        body_limit=PUBLIC_LIMIT,
    ),
    Route(
        "sync",
        "POST",
        "/api/v1/sync",
        "client",
        "A worker's one round trip.",
        messages.SyncRequest,
        messages.SyncAnswer,
        body_limit=SYNC_BODY_LIMIT,
    ),
    Route("client_retire", "POST", "/api/v1/retire", "client", "Leave for good: an uninstalled worker's last word."),
    Route(
        "lease_input",
        "GET",
        "/api/v1/leases/<lease>/input",
        "client",
        "The bytes of a lease's input, in parts (Range).",
        transfer=True,
    ),
    Route(
        "lease_pieces",
        "GET",
        "/api/v1/leases/<lease>/pieces",
        "client",
        "Names and sizes of the pieces of a lease's input.",
        answer=list[messages.Piece],
        transfer=True,
    ),
    Route(
        "job_program",
        "GET",
        "/api/v1/jobs/<job>/program",
        "user or client",
        "The job folder as a tar, in parts (Range).",
        transfer=True,
    ),
    Route(
        "job_image",
        "GET",
        "/api/v1/jobs/<job>/image",
        "user or client",
        "The job's image as a `docker save` archive, in parts (Range).",
        transfer=True,
    ),
    # transfers
    Route(
        "blob_status",
        "GET",
        "/api/v1/blobs/<digest>/status",
        "user or client",
        "How much of an upload has arrived.",
        answer=views.BlobStatus,
    ),
    Route(
        "blobs_missing",
        "POST",
        "/api/v1/blobs/missing",
        "user",
        "Which of at most 10,000 blobs are not here.",
        views.DigestList,
        views.DigestList,
    ),
    Route(
        "blob_put",
        "PUT",
        "/api/v1/blobs/<digest>",
        "user or client",
        "One part of an upload, at ?offset= of ?size= bytes, with its SHA-256 in Content-Digest.",
        answer=views.BlobStatus,
        body_limit=messages.PART_LIMIT,
        transfer=True,
    ),
    # scientists
    Route(
        "submit",
        "POST",
        "/api/v1/jobs",
        "user",
        "Submit a job (Idempotency-Key makes it safe to repeat).",
        views.SubmitRequest,
        views.JobView,
        body_limit=16 * 1024 * 1024,
    ),
    Route(
        "job_forecast",
        "POST",
        "/api/v1/forecast",
        "user",
        "What a job would be if it were submitted now; stores nothing.",
        views.SubmitRequest,
        views.Forecast,
        body_limit=16 * 1024 * 1024,
    ),
    Route("jobs", "GET", "/api/v1/jobs", "user", "Jobs, newest first (?cursor=, ?limit=).", answer=views.JobPage),
    Route("job", "GET", "/api/v1/jobs/<job>", "user", "One job.", answer=views.JobView),
    Route("job_cancel", "POST", "/api/v1/jobs/<job>/cancel", "user", "Stop a job.", answer=views.JobView),
    Route(
        "job_retry",
        "POST",
        "/api/v1/jobs/<job>/retry",
        "user",
        "Run again what failed or was cancelled; accepted results stay.",
        answer=views.JobView,
    ),
    Route(
        "job_remove",
        "DELETE",
        "/api/v1/jobs/<job>",
        "user",
        "Remove an ended job and what only it refers to; the answer is the last of it.",
        answer=views.JobView,
    ),
    Route(
        "explain",
        "GET",
        "/api/v1/explain/<subject>",
        "user",
        "Why a job, chunk or client (by id or name) is as it is.",
        answer=views.Explanation,
    ),
    Route(
        "job_result", "GET", "/api/v1/jobs/<job>/result", "user", "The merged result, in parts (Range).", transfer=True
    ),
    Route(
        "job_chunks",
        "GET",
        "/api/v1/jobs/<job>/chunks",
        "user",
        "Chunks in order (?stage=, ?state=, ?cursor=, ?limit=).",
        answer=views.ChunkPage,
    ),
    Route(
        "job_files",
        "GET",
        "/api/v1/jobs/<job>/files",
        "user",
        "Files of a result of several, in chunk order; while it runs, those accepted so far (?cursor=, ?limit=).",
        answer=views.ResultFiles,
    ),
    Route(
        "job_file",
        "GET",
        "/api/v1/jobs/<job>/file",
        "user",
        "One file of a result of several, by its ?name=, in parts (Range).",
        transfer=True,
    ),
    Route(
        "job_archive",
        "GET",
        "/api/v1/jobs/<job>/files.tar",
        "user",
        "All files of a result of several, as one tar.",
        transfer=True,
    ),
    Route(
        "job_plot",
        "GET",
        "/api/v1/jobs/<job>/plots/<number>",
        "user",
        "A declared plot, counted from 1, as SVG; its points with ?format=csv.",
    ),
    Route(
        "job_speedup",
        "GET",
        "/api/v1/jobs/<job>/speedup",
        "user",
        "How the job's stages speed up with width on each kind of machine (?stage=, ?kind=); with ?format=csv what was"
        " measured, with ?format=svg the first as a plot.",
        answer=views.SpeedupList,
    ),
    Route("chunk", "GET", "/api/v1/chunks/<chunk>", "user", "One chunk and its replicas.", answer=views.ChunkView),
    Route(
        "chunk_result",
        "GET",
        "/api/v1/chunks/<chunk>/result",
        "user",
        "The canonical result of an accepted chunk, in parts (Range).",
        transfer=True,
    ),
    Route(
        "job_receipt",
        "GET",
        "/api/v1/jobs/<job>/receipt",
        "user",
        "The signed receipt of a completed job (?edition= for an earlier one), byte for byte as it was signed.",
    ),
    Route(
        "chunk_receipt",
        "GET",
        "/api/v1/chunks/<chunk>/receipt",
        "user",
        "The signed receipt of an accepted chunk, with its place in the job's.",
    ),
    Route(
        "job_running",
        "GET",
        "/api/v1/jobs/<job>/running",
        "user",
        "Chunks that have run for some seconds now.",
        answer=views.RunningPage,
    ),
    Route(
        "job_stream",
        "GET",
        "/api/v1/jobs/<job>/stream",
        "user",
        "The log or output of a running chunk so far (?lease=, ?kind= log or output, ?from= a byte); Stream-From says"
        " where the answer begins.",
    ),
    Route("images", "GET", "/api/v1/images", "user", "Images the master can stream.", answer=views.ImageList),
    Route(
        "image_register",
        "POST",
        "/api/v1/images",
        "user",
        "Register an uploaded archive under a name.",
        views.ImageRegistration,
        views.ImageView,
    ),
    Route(
        "image_pull",
        "POST",
        "/api/v1/images/pull",
        "user",
        "Pull an image from its registry and register it, pinned; answers when it is here.",
        views.ImagePull,
        views.ImageView,
        transfer=True,
    ),
    # admins
    Route("clients", "GET", "/api/v1/clients", "user", "Clients (?cursor=, ?limit=).", answer=views.ClientPage),
    Route(
        "client",
        "GET",
        "/api/v1/clients/<client>",
        "user",
        "One client; with ?watch=yes, for admins, it is heard every second for a while.",
        answer=views.ClientView,
    ),
    Route(
        "client_load",
        "GET",
        "/api/v1/clients/<client>/load",
        "user",
        "How busy a client's machine was, by the minute, in the last ?hours= (24, at most 168); with ?format=csv or svg"
        " (?show= cpus or memory).",
        answer=views.LoadSeries,
    ),
    Route(
        "client_allocate",
        "PUT",
        "/api/v1/clients/<client>/allocation",
        "admin",
        "Change a client's allocation (If-Match with the ETag that was read).",
        views.AllocationChange,
        messages.Allocation,
    ),
    Route(
        "client_follow",
        "POST",
        "/api/v1/clients/<client>/follow",
        "admin",
        "Give a client what its group gives, now and whenever that changes.",
        answer=messages.Allocation,
    ),
    Route(
        "client_history",
        "GET",
        "/api/v1/clients/<client>/allocations",
        "admin",
        "What a client was given, by whom, and how far it came, newest first (?cursor=, ?limit=).",
        answer=views.AllocationHistory,
    ),
    Route(
        "client_tags",
        "PUT",
        "/api/v1/clients/<client>/tags",
        "admin",
        "Give a client these tags and no others, and with them its group.",
        views.TagsChange,
        views.ClientView,
    ),
    Route(
        "groups",
        "GET",
        "/api/v1/groups",
        "admin",
        "Groups of clients, in the order in which clients are tried on them.",
        answer=views.GroupList,
    ),
    Route("group", "GET", "/api/v1/groups/<group>", "admin", "One group.", answer=views.GroupView),
    Route(
        "group_set",
        "PUT",
        "/api/v1/groups/<group>",
        "admin",
        "Make a group or change it; members that follow it have that with their next sync (If-Match with the ETag that"
        ' was read, "0" for a new one).',
        views.GroupChange,
        views.GroupView,
    ),
    Route(
        "group_remove",
        "DELETE",
        "/api/v1/groups/<group>",
        "admin",
        "Remove a group; members that follow it get what their next group gives, or all that their volunteer allows.",
        answer=views.GroupView,
    ),
    Route(
        "group_members",
        "GET",
        "/api/v1/groups/<group>/clients",
        "admin",
        "The clients of a group (?cursor=, ?limit=).",
        answer=views.ClientPage,
    ),
    Route(
        "enrolment_token",
        "POST",
        "/api/v1/enrolment-tokens",
        "admin",
        "Make an enrolment token and its link.",
        views.TokenRequest,
        views.TokenAnswer,
    ),
    Route(
        "login_link",
        "POST",
        "/api/v1/login-links",
        "admin",
        "Make a one-time login link for the dashboard.",
        answer=views.LoginLink,
    ),
    Route(
        "client_remove",
        "DELETE",
        "/api/v1/clients/<client>",
        "admin",
        "Retire a client: its next sync is refused, and its token does not let it in again.",
        answer=people.Revoked,
    ),
    Route(
        "client_forgive",
        "POST",
        "/api/v1/clients/<client>/forgiveness",
        "admin",
        "A fresh start for a client that was found wrong, with the reason.",
        views.Forgiveness,
        views.ClientView,
    ),
    # people, tokens, audit
    Route("identity", "GET", "/api/v1/identity", "user", "Whose token this is.", answer=people.Identity),
    Route("people", "GET", "/api/v1/people", "admin", "Everybody with an account.", answer=people.PersonList),
    Route(
        "person_add",
        "POST",
        "/api/v1/people",
        "admin",
        "Add a person; the link lets them choose a password, once.",
        people.PersonRequest,
        people.PasswordLink,
    ),
    Route(
        "quota",
        "GET",
        "/api/v1/quotas/<person>",
        "user",
        "What a person may have at once, and has: one's own, an admin anybody's.",
        answer=quotas.QuotaView,
    ),
    Route(
        "quota_set",
        "PUT",
        "/api/v1/quotas/<person>",
        "admin",
        "Give a person a quota of their own.",
        quotas.QuotaChange,
        quotas.QuotaView,
    ),
    Route(
        "person_role",
        "PUT",
        "/api/v1/people/<person>/role",
        "admin",
        "Give a person another role, at once also for their sessions and tokens.",
        people.RoleChange,
        people.PersonView,
    ),
    Route(
        "person_remove",
        "DELETE",
        "/api/v1/people/<person>",
        "admin",
        "Remove a person; sessions and tokens end at once, jobs stay.",
        answer=people.PersonView,
    ),
    Route(
        "person_link",
        "POST",
        "/api/v1/people/<person>/password-link",
        "admin",
        "Make a one-time link by which a person chooses a new password.",
        answer=people.PasswordLink,
    ),
    Route(
        "person_logout",
        "POST",
        "/api/v1/people/<person>/logout",
        "admin",
        "End all sessions of a person; tokens stay.",
        answer=people.PersonView,
    ),
    Route(
        "tokens",
        "GET",
        "/api/v1/tokens",
        "user",
        "Your API tokens; with ?all=yes, for admins, everybody's.",
        answer=people.ApiTokenList,
    ),
    Route(
        "token_create",
        "POST",
        "/api/v1/tokens",
        "user",
        "Make an API token of your own; it is shown only now.",
        people.ApiTokenRequest,
        people.ApiTokenAnswer,
    ),
    Route(
        "token_revoke",
        "DELETE",
        "/api/v1/tokens/<token>",
        "user",
        "Revoke one of your API tokens, as an admin anybody's; it ends at once.",
        answer=people.Revoked,
    ),
    Route(
        "enrolment_tokens",
        "GET",
        "/api/v1/enrolment-tokens",
        "admin",
        "Enrolment tokens that are still valid.",
        answer=people.EnrolmentTokenList,
    ),
    Route(
        "enrolment_token_revoke",
        "DELETE",
        "/api/v1/enrolment-tokens/<token>",
        "admin",
        "Revoke an enrolment token; with ?retire=yes also the clients that came by it.",
        answer=people.Revoked,
    ),
    Route(
        "audit",
        "GET",
        "/api/v1/audit",
        "admin",
        "Who changed what, newest first (?person=, ?subject=, ?kind=, ?since=, ?until=, ?cursor=, ?limit=).",
        answer=people.AuditPage,
    ),
    # scientists' signing keys
    Route(
        "scientist_keys",
        "GET",
        "/api/v1/scientist-keys",
        "user",
        "The public keys you sign jobs with; with ?all=yes, for those who see all jobs, everybody's.",
        answer=scientists.KeyList,
    ),
    Route(
        "scientist_key",
        "GET",
        "/api/v1/scientist-keys/<key>",
        "user",
        "One of your public keys.",
        answer=scientists.KeyView,
    ),
    Route(
        "scientist_key_register",
        "PUT",
        "/api/v1/scientist-keys/<key>",
        "user",
        "Register a public key (64 hex digits) as yours; safe to repeat.",
        scientists.KeyRegistration,
        scientists.KeyView,
    ),
    Route(
        "scientist_key_revoke",
        "DELETE",
        "/api/v1/scientist-keys/<key>",
        "user",
        "Take no more jobs that this key signs, as an admin also another's; jobs that run go on.",
        answer=scientists.KeyView,
    ),
)

BY_NAME: dict[str, Route] = {route.name: route for route in ROUTES}
