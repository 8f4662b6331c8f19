"""Routes of scientists' signing keys."""

from typing import Any

from flask import Response, request

from dockercomp.protocol.scientists import KeyList, KeyRegistration, KeyView
from server.api.responses import message
from server.api.services import Caller, Services


def keys(services: Services, caller: Caller, _: None) -> KeyList:
    """?all=yes, for those who see everybody's jobs, lists everybody's."""
    everybody = request.args.get("all") == "yes" and caller.rights.sees_all
    return KeyList(keys=services.scientists.keys(None if everybody else caller.id))


def key(services: Services, caller: Caller, _: None, key: str) -> KeyView:
    return services.scientists.key(key, _whose(caller))


def key_register(services: Services, caller: Caller, body: KeyRegistration, key: str) -> Response:
    return message(services.scientists.register(key, caller.id, body), 201)


def key_revoke(services: Services, caller: Caller, _: None, key: str) -> KeyView:
    return services.scientists.revoke(key, None if caller.role == "admin" and not caller.own else caller.id)


def _whose(caller: Caller) -> str | None:
    """Whose keys a caller may look at; None: everybody's."""
    return None if caller.rights.sees_all else caller.id


HANDLERS: dict[str, Any] = {
    "scientist_keys": keys,
    "scientist_key": key,
    "scientist_key_register": key_register,
    "scientist_key_revoke": key_revoke,
}
