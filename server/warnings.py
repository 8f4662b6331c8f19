"""What is said loudly of a master's settings, at each start and on the dashboard. Pure."""

from server.settings import Settings


def of_settings(settings: Settings) -> list[str]:
    """A sentence or two for each thing that an admin should change; none where all is well."""
    found = []
    if settings.plain_beyond_loopback:
        found.append(
            f"This master speaks plain HTTP at {settings.bind}: passwords, tokens and data can be read and changed on"
            " the way. Start it with --tls-self-signed, or with --tls-cert and --tls-key."
        )
    if settings.public_url.startswith("https://") and not settings.speaks_tls and not settings.proxy_hops:
        found.append(
            "A proxy stands before this master, and DC_PROXY_HOPS does not say so: all callers seem to have one address"
            " and share its rates. Set DC_PROXY_HOPS=1."
        )
    return found
