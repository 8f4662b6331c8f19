"""A result that is a pickle runs nothing, wherever results are read: at the master, and at the scientist's."""

import contextlib
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockercomp.inside import values
from dockercomp.protocol.errors import DockercompError
from dockercomp.protocol.orders import VerifySpec
from dockercomp.resultfolder import write_folder
from server import comparators
from server.dashboard.preview import preview
from server.plots import raster, reading


class Bomb:
    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self._mark,)


def compared(compare: Any) -> Callable[[bytes, Path], object]:
    return lambda data, _: comparators.equal(VerifySpec(compare=compare), data, data + b".")


READERS: dict[str, Callable[[bytes, Path], object]] = {
    "values of Python": lambda data, _: values.decode(data),
    "a folder of results": lambda data, folder: write_folder(folder, [data], ["a"]),
    "a preview": lambda data, _: preview(data, len(data)),
    "a plot's table": lambda data, _: reading.read(data),
    "a picture": lambda data, _: raster.shown(data),
    **{compare: compared(compare) for compare in ("bytes", "lines", "json", "numbers", "csv", "image")},
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
def test_a_pickle_runs_nothing(tmp_path: Path, read: Callable[[bytes, Path], object], protocol: int) -> None:
    mark = tmp_path / "mark"
    data = pickle.dumps(Bomb(mark), protocol)
    pickle.load(io.BytesIO(data))
    assert mark.exists(), "it would, where it is loaded"
    mark.unlink()
    with contextlib.suppress(DockercompError, ValueError):
        read(data, tmp_path / "folder")
    assert not mark.exists()
