"""The OpenAPI document as schemathesis reads it: for each operation, what fits it and what does not, by each caller."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode

from dockercomp.protocol.routes import BY_NAME
from server.api import openapi
from tests.fuzz.conftest import share
from tests.fuzz.target import Asking, Target

_DOCUMENT = openapi.document("http://localhost")
_SCHEMA = schemathesis.openapi.from_dict(_DOCUMENT)
_OPERATIONS = {found.ok().definition.raw["operationId"]: found.ok() for found in _SCHEMA.get_all_operations()}
_TRIED = [
    (name, mode)
    for name, route in sorted(BY_NAME.items())
    for mode in GenerationMode
    if mode.is_positive or route.request  # in a path any text fits
]
_EACH = max(4, share(0.3) // len(_TRIED))
CALLERS = ("root", "ada", "client", "nobody", "ended token", "viola", "root to read")


def asking_of(case: Case, real: Mapping[str, str], caller: str) -> Asking:
    """The case as a request; `real` takes the place of parts of its path."""
    path = case.path
    for name, value in {**(case.path_parameters or {}), **real}.items():
        path = path.replace("{" + name + "}", quote(str(value), safe=""))
    query = "&".join(f"{quote(str(name))}={quote(str(value))}" for name, value in (case.query or {}).items())
    headers = {name: str(value) for name, value in (case.headers or {}).items()}
    return Asking(case.method, path, query, headers, _body(case.body), caller=caller)


def _body(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    try:
        return json.dumps(body).encode(errors="surrogatepass")
    except TypeError:  # none at all
        return b""


def test_every_route_is_in_the_document() -> None:
    assert set(_OPERATIONS) == set(BY_NAME)


@pytest.mark.parametrize(("name", "mode"), _TRIED, ids=lambda each: getattr(each, "value", each))
def test_the_operation(here: Target, name: str, mode: GenerationMode) -> None:
    fitting = {"client": "client", "public": "nobody"}.get(BY_NAME[name].who, "root")

    @settings(
        max_examples=_EACH,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=_OPERATIONS[name].as_strategy(generation_mode=mode), data=st.data())
    def each(case: Case, data: st.DataObject) -> None:
        real = {
            part: data.draw(st.sampled_from(here.things[part]))
            for part in case.path_parameters or {}
            if here.things.get(part) and data.draw(st.booleans())
        }
        here.ask(asking_of(case, real, data.draw(st.sampled_from((fitting, *CALLERS)))))

    here.renew()
    each()
