"""The API as an OpenAPI 3.1 document, made from the table of routes."""

import re
from typing import Any

import msgspec

from dockercomp import __version__
from dockercomp.protocol.errors import Problem
from dockercomp.protocol.routes import ROUTES, Route

_PART = re.compile(r"<(\w+)>")
_REFERENCE = "#/components/schemas/{name}"


def document(url: str) -> dict[str, Any]:
    """The whole document for the master at `url`."""
    types = [kind for route in ROUTES for kind in (route.request, route.answer) if kind is not None]
    schemas, components = msgspec.json.schema_components([*types, Problem], ref_template=_REFERENCE)
    by_type = dict(zip([repr(kind) for kind in types], schemas, strict=False))
    paths: dict[str, Any] = {}
    for route in ROUTES:
        path = _PART.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, by_type)
    return {
        "openapi": "3.1.0",
        "info": {"title": "dockerComp master", "version": __version__},
        "servers": [{"url": url}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, by_type: dict[str, Any]) -> dict[str, Any]:
    ok: dict[str, Any] = {"description": "As asked."}
    if route.answer is not None:
        ok["content"] = {"application/json": {"schema": by_type[repr(route.answer)]}}
    problem = {"application/problem+json": {"schema": {"$ref": _REFERENCE.format(name="Problem")}}}
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "description": f"For: {route.who}.",
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in _PART.findall(route.path)
        ],
        "responses": {"2XX": ok, "default": {"description": "An error.", "content": problem}},
    }
    if route.request is not None:
        body = {"application/json": {"schema": by_type[repr(route.request)]}}
        operation["requestBody"] = {"required": True, "content": body}
    if route.who != "public":
        operation["security"] = [{"bearer": []}]
    return operation
