"""The combinations of a product split, found by their number without listing those before. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence

from dockercomp.protocol.orders import Parameter

Parameters = Mapping[str, Sequence[Parameter]]


def combination(parameters: Parameters, number: int) -> dict[str, Parameter]:
    """Combination `number`, counted as itertools.product does: the last parameter fastest (a mixed radix)."""
    found: dict[str, Parameter] = {}
    for name in reversed(list(parameters)):
        values = parameters[name]
        number, at = divmod(number, len(values))
        found[name] = values[at]
    return {name: found[name] for name in parameters}


def lines(parameters: Parameters, start: int, stop: int) -> Iterator[bytes]:
    """Combinations [start, stop) as JSON objects, one a line, their keys in the order of the job file."""
    for number in range(start, stop):
        yield json.dumps(combination(parameters, number), ensure_ascii=False).encode() + b"\n"


def text(value: Parameter) -> str:
    """A value as it stands in a command's arguments."""
    return str(value).lower() if isinstance(value, bool) else str(value)
