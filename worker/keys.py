"""What a volunteer may write in `configuration`: each key, what it means, whether a running worker follows it. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    name: str
    meaning: str
    example: str
    live: bool = True
    """Followed while the worker runs; else from its next start on."""
    secret: bool = False
    """Not shown."""


KEYS = (
    Key("DC_CONTAINERS", "containers at once, at most", "2"),
    Key("DC_CPUS", "CPUs of all containers together, at most", "1.5"),
    Key("DC_MEMORY", "memory of all containers together, at most", "2GiB"),
    Key("DC_DISK", "disk for everything of ours, at most", "20GiB"),
    Key("DC_NETWORK_PER_DAY", "bytes to and from other machines in 24 hours, at most", "5GiB"),
    Key("DC_HOURS", "when it works, by this machine's clock", "mon-fri 18:00-08:00,sat-sun"),
    Key("DC_WHEN_IDLE", "only while nobody else uses the machine: yes, no, or for how many minutes", "yes"),
    Key("DC_ON_BATTERY", "whether it works on battery: yes or no", "no"),
    Key("DC_TEMPERATURE", "degrees Celsius of the processor above which it pauses", "85"),
    Key("DC_HOOK", "a program of yours, by its whole path, that says whether it may work", "/usr/local/bin/may-work"),
    Key("DC_UNLIMITED", "where the engine enforces no limits: refuse or warn", "refuse"),
    Key("DC_ALLOW", "what jobs may have beyond the locked default: none, or some of network, disk …", "network"),
    Key("DC_REQUIRE_SIGNATURES", "whose signature a job needs: master or both", "both"),
    Key("DC_SCIENTISTS", "only these scientists' work: names or fingerprints of keys", "ada,grace"),
    Key("DC_FETCH", "URLs that it reads for jobs: none, public or any", "public", live=False),
    Key("DC_NAME", "what this machine is called on the dashboard", "attic", live=False),
    Key("DC_HOST", "the master's host", "master.example.org", live=False),
    Key("DC_PORT", "the master's port", "443", live=False),
    Key("DC_SCHEME", "how the master is spoken to: http or https", "https", live=False),
    Key("DC_ALLOW_PLAIN_HTTP", "plain http beyond this machine: yes or no", "no", live=False),
    Key("DC_TLS_PIN", "the one certificate that the master may show", "sha256:…", live=False),
    Key("DC_MASTER_KEY", "the master's key, or its fingerprint", "sha256:…", live=False),
    Key("DC_TOKEN", "the enrolment token that an admin gave you", "…", live=False, secret=True),
    Key("DC_DOCKER_HOST", "the Docker Engine to use", "unix:///var/run/docker.sock", live=False),
    Key("DC_ROOTLESS", "no engine but this user's own: yes or no", "yes", live=False),
    Key("DC_REGISTRY_AUTH", "logins to registries of images: a file as docker login writes it", "/path", live=False),
)
BY_NAME = {key.name: key for key in KEYS}
