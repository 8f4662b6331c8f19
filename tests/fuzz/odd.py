"""Odd values, and real requests made odd: pure, from a seeded random number generator."""

import base64
import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any
from urllib.parse import quote

TEXTS = (
    "", " ", "0", "-1", "+1", "1e400", "nan", "inf", "NaN,x", "9" * 19, "9" * 40, "9" * 5000, "²", "٣", "1_000",
    "0x10", "\0", "a\0b", "\x7f\x1b[2J", "\u202eabc", "\ufeff", "\u2028", "e\u0301" * 50, "🎉", "x" * 300,
    "x" * 70_000, "..", "../", "../../../etc/passwd", "..\\..\\x", "/etc/passwd", "%2e%2e%2f", "//evil.example/",
    "/\\evil.example", "javascript:alert(1)", "$where", "$gt", '{"$gt": ""}', "a.b.c", ".", "c.1.2.3", "j0000000000",
    "j0000000000.0.000000000000", "j0000000000.99999999999999999999.1", "<script>alert(1)</script>",
    "'\"><img src=x>", "{{7*7}}", "${7*7}", "%s%n%x", "\r\nX: y", "0001-01-01T00:00:00+14:00,x",
    "9999-12-31T23:59:59-14:00,x", "9999-12-31", "0001-01-01", "-1e308,x", "1e308,j", "true", "yes", "svg", "csv",
    "log", "output", "map", "reduce", "open", "accepted", "bytes=0-", "1", "2", "100", "500", "501",
)  # fmt: skip

TOKENS = (
    "null", "true", "-1", "0", "1", "1e999", "-1e999", "1e-400", "NaN", "Infinity", "9007199254740993",
    "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616",
    "-9223372036854775809", "1" + "0" * 400, "1" + "0" * 5000, "0.1", "-0.0", "1e308", "5e-324", '""', '"\\u0000"',
    '"a\\u0000b"', '"\\ud800"', '"\\udfff\\ud800"', '"\\ud83c\\udf89"', "[]", "{}", "[" * 60 + "]" * 60,
    "[" * 5000 + "]" * 5000, '{"a":' * 3000 + "1" + "}" * 3000, '{"$gt":""}', '{"$where":"sleep(1)"}', '"$x"',
    '"a.b"', '{"a.b":1,"$c":2}', '"' + "x" * 70_000 + '"', '"../../x"', '"/etc/passwd"', '"\u202e"', '"="', '"AAAA"',
    "[1,2,3]", '["",""]', "[" + ",".join(['"x"'] * 3000) + "]", '"nan"', '"1e400"', '"http://192.0.2.1/x"',
    '"file:///etc/passwd"', '"(a+)+$"', '"*"', '"**/x"',
)  # fmt: skip

_MARK = '"@@@odd@@@"'


def text(random: Random) -> str:
    if random.random() < 0.8:
        return random.choice(TEXTS)
    return "".join(
        chr(random.choice((random.randrange(128), random.randrange(0xD800)))) for _ in range(random.randrange(12))
    )


def quoted(value: str, random: Random) -> str:
    """As it may travel in a path: percent-encoded, sometimes twice, or as bytes that are no UTF-8."""
    raw = value.encode(errors="replace") + (b"\xff\xfe\xc0\x80" if random.random() < 0.05 else b"")
    once = quote(raw, safe="/" if random.random() < 0.3 else "")
    return quote(once) if random.random() < 0.05 else once


def body(real: bytes, random: Random) -> bytes:
    """A mutant: mostly of the JSON's structure, else of its bytes."""
    if random.random() < 0.75:
        try:
            return _structure(json.loads(real), random)
        except (ValueError, RecursionError):
            pass
    return _bytes(real, random)


def _structure(value: Any, random: Random) -> bytes:
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        places = list(_places(value))
        if not places:
            break
        holder, key = random.choice(places)
        random.choice(_CHANGES)(holder, key, random)
    told = json.dumps(value)
    while _MARK in told:
        told = told.replace(_MARK, random.choice(TOKENS), 1)
    if random.random() < 0.05 and told.startswith("{") and len(told) > 2:
        told = told[:-1] + "," + told[1:]  # every key twice
    return told.encode(errors="surrogatepass")


def _places(value: Any) -> Any:
    keys: Sequence[Any] = (
        list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _odd(holder: Any, key: Any, random: Random) -> None:
    holder[key] = json.loads(_MARK)


def _texts(holder: Any, key: Any, random: Random) -> None:
    holder[key] = text(random)


def _payload(holder: Any, key: Any, random: Random) -> None:
    holder[key] = base64.b64encode(random.randbytes(random.randrange(40))).decode()


def _gone(holder: Any, key: Any, random: Random) -> None:
    if isinstance(holder, dict):
        del holder[key]


def _more(holder: Any, key: Any, random: Random) -> None:
    if isinstance(holder, dict):
        holder[text(random)] = holder[key]
    else:
        holder.extend([holder[key]] * random.choice((1, 3, 600)))


def _number(holder: Any, key: Any, random: Random) -> None:
    bits = random.choice((3, 16, 31, 32, 53, 62, 63, 64, 65, 200))
    holder[key] = (
        random.choice((1, -1)) * random.getrandbits(bits) if random.random() < 0.7 else random.uniform(-1e18, 1e18)
    )


_CHANGES: tuple[Callable[[Any, Any, Random], None], ...] = (
    _odd,
    _odd,
    _odd,
    _texts,
    _texts,
    _payload,
    _gone,
    _more,
    _number,
    _number,
)


def _bytes(real: bytes, random: Random) -> bytes:
    mutant = bytearray(real or b"{}")
    for _ in range(random.choice((1, 1, 3, 20))):
        at = random.randrange(len(mutant) + 1)
        change = random.randrange(5)
        if change == 0:
            del mutant[at:]
        elif change == 1:
            mutant[at:at] = random.randbytes(random.randrange(8))
        elif change == 2 and at < len(mutant):
            mutant[at] ^= 1 << random.randrange(8)
        elif change == 3:
            mutant[at:at] = mutant[: random.randrange(60)]
        else:
            del mutant[at : at + random.randrange(30)]
    return bytes(mutant)


HEADERS = (
    "Range", "If-Match", "If-None-Match", "Idempotency-Key", "Content-Digest", "Content-Type", "Content-Length",
    "Content-Encoding", "Accept", "Accept-Encoding", "Authorization", "Cookie", "Host", "X-Forwarded-For",
    "X-Forwarded-Host", "X-Forwarded-Proto", "Expect", "HX-Request", "HX-Target", "If-Modified-Since",
    "X-HTTP-Method-Override", "Referer", "Origin", "Transfer-Encoding", "Connection", "Forwarded", "X-Original-URL",
    "User-Agent", "Upgrade", "Content-Range", "If-Range", "Date",
)  # fmt: skip
_VALUES = {
    "Range": (
        "bytes=0-0", "bytes=0-", "bytes=-5", "bytes=5-1", "bytes=0-1,2-3", "bytes=99999999999999999999-", "bytes=²-",
        "bytes=0-٣", "b",
    ),
    "If-Match": ('"1"', "1", "²", "9" * 30, "9" * 5000, "*", 'W/"1"', '"x"', "-1"),
    "If-None-Match": ("*", '"', 'W/"' + "x" * 5000, ",,,,"),
    "Content-Type": (
        "", "text/html", "multipart/form-data; boundary=x", "multipart/form-data", "application/json; charset=utf-7",
        "é",
    ),
    "Content-Length": ("-1", "abc", "1", "99999999999999999999", "", "0", "²"),
    "Authorization": (
        "Bearer", "Bearer .", "Bearer a.b", "Bearer \0", "Basic eDp5", "Bearer " + "x" * 9000, "bearer x", "é",
        "Bearer a.b.c",
    ),
    "Cookie": (
        "session=", "session=.eJw.x.y", "session=a; session=b", "=;=;;", "session=" + "A" * 5000, "é=é",
        "remember_token=x|y",
    ),
    "Host": ("", "evil.example", "a b", "localhost:99999", "[::1", "x" * 300, "évil", "localhost\0"),
    "Accept": ("text/html", "*/*;q=x", "text/html;q=nan", "," * 500, "application/json"),
    "X-Forwarded-For": ("1.2.3.4", "::1", ",,,", "x" * 3000),
    "Transfer-Encoding": ("chunked", "gzip", ""),
    "HX-Request": ("true",),
}  # fmt: skip


def headers(random: Random) -> dict[str, str]:
    """Mostly none, else a few odd ones."""
    found: dict[str, str] = {}
    while random.random() < 0.3:
        name = random.choice(HEADERS)
        found[name] = random.choice(_VALUES.get(name, TEXTS)) if random.random() < 0.8 else text(random)
    return found


def query(names: Sequence[str], random: Random) -> str:
    """Names that are read somewhere, with odd values; also twice."""
    found = []
    while random.random() < 0.55:
        found.append(f"{random.choice(names)}={quoted(text(random), random)}")
    return (
        "&".join(found)
        if random.random() < 0.97
        else random.choice(("&&&", "=", "%", "%zz=%u1234", "a[]=1&a[$gt]=2", "\xff\xfe"))
    )
