"""The warm process that calls a job's Python functions, inside the container, with the image's own python3.

Standard library only, and old enough for any python3 from 3.6 on. Reads calls from descriptor 3: a little-endian
32-bit length and a call, which is a little-endian 32-bit length, that much JSON, and the rest raw input. Answers there
with frames: O with bytes of the result, then X with "code cpu_us rss_kb"; the code is 1 where the function raised.
"""

import importlib
import io
import json
import os
import resource
import socket
import struct
import sys
import traceback

_BLOCK = 1 << 20


def main():
    sys.path.insert(0, os.getcwd())
    channel, own = socket.socket(fileno=3), os.getpid()
    os.set_inheritable(3, False)
    functions = {}
    while True:
        head = _read(channel, 4)
        if head is None:
            return
        call = _read(channel, struct.unpack("<I", head)[0])
        code, begun = 0, _cpu_us()
        try:
            result = _call(functions, call)
            if os.getpid() == own:
                _answer(channel, result)
        except BaseException:  # the function's own SystemExit included: the host must live on
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        if os.getpid() != own:  # a child that the function forked and that came back here: only its parent answers
            os._exit(code)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        _send(channel, b"X", ("%d %d %d" % (code, _cpu_us() - begun, peak)).encode())


def _cpu_us():
    """Spent by this process and by those of its children that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return int(sum(usage.ru_utime + usage.ru_stime for usage in used) * 1e6)


def _call(functions, call):
    size = struct.unpack_from("<I", call)[0]
    asked = json.loads(call[4 : 4 + size].decode())
    os.environ.update(asked.get("environment", {}))
    name = asked["function"]
    if name not in functions:
        module, _, attribute = name.partition(":")
        functions[name] = getattr(importlib.import_module(module), attribute)
    os.chdir(asked["cwd"])
    result = functions[name](_argument(asked, call[4 + size :]))
    if isinstance(result, str):
        result = result.encode()
    if not isinstance(result, (bytes, bytearray, memoryview)):
        raise TypeError("%s returned %s, not bytes or str" % (name, type(result).__name__))
    return result


def _argument(asked, data):
    kind = asked["kind"]
    if kind == "range":
        return range(asked["start"], asked["stop"])
    if kind == "paths":
        return asked["paths"]
    if kind == "pieces":
        return _pieces(asked["path"], asked["sizes"])
    if kind == "bytes":
        with _input(asked, data) as file:
            return file.read()
    lines = _lines(_input(asked, data))
    return lines if kind == "lines" else [json.loads(line.decode()) for line in lines]


def _input(asked, data):
    return open(asked["path"], "rb") if "path" in asked else io.BytesIO(data)


def _lines(file):
    """Without their ends."""
    with file:
        for line in file:
            yield line[:-1] if line.endswith(b"\n") else line


def _pieces(path, sizes):
    with open(path, "rb") as file:
        for size in sizes:
            yield file.read(size)


def _answer(channel, result):
    view = memoryview(result)
    for start in range(0, len(view), _BLOCK):
        _send(channel, b"O", view[start : start + _BLOCK])


def _send(channel, kind, data):
    channel.sendall(kind + struct.pack("<I", len(data)) + bytes(data))


def _read(channel, size):
    parts = []
    while size:
        part = channel.recv(min(size, _BLOCK))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


if __name__ == "__main__":
    main()
