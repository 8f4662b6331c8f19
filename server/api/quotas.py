"""Routes of quotas."""

from typing import Any

from dockercomp.protocol.errors import Forbidden
from dockercomp.protocol.quotas import QuotaChange, QuotaView
from server.api.auditing import note
from server.api.services import Caller, Services


def quota(services: Services, caller: Caller, _: None, person: str) -> QuotaView:
    if person != caller.id and not caller.rights.may("admin"):
        raise Forbidden("what others have is for admins; your own is at /api/v1/quotas/" + caller.id)
    return services.allowances.view(person)


def quota_set(services: Services, caller: Caller, body: QuotaChange, person: str) -> QuotaView:
    given = {name: getattr(body, name) for name in body.__struct_fields__ if getattr(body, name) is not None}
    note(detail=", ".join(f"{name} {most}" for name, most in given.items()) or "the default")
    return services.allowances.give(person, body)


HANDLERS: dict[str, Any] = {"quota": quota, "quota_set": quota_set}
