"""Where the master may connect to when a person names a URL: protocol.outbound with the admin's way out."""

from dockercomp.protocol import outbound
from dockercomp.protocol.errors import Forbidden

is_public, session = outbound.is_public, outbound.session


def check_url(url: str, *, allow_private: bool) -> None:
    """Raises Forbidden with the way out, else as outbound.check_url."""
    try:
        outbound.check_url(url, allow_private=allow_private)
    except Forbidden as error:
        raise Forbidden(f"{error}; an admin can allow it with DC_PRIVATE_URLS=yes") from error
