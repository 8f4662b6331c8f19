"""The disk promise: claimed before it is written, room made by dropping what nobody needs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.disk import Disk, NoRoom

MIB = 2**20


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path, 10 * MIB)


def write(path: Path, parts: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        for part in parts:
            file.write(part)
            file.flush()


def test_what_arrives_is_stopped_before_it_is_too_much(disk: Disk, tmp_path: Path) -> None:
    place = tmp_path / "input"
    with pytest.raises(NoRoom, match="DC_DISK allows 10 MiB"):
        write(place, disk.metered((bytes(MIB) for _ in range(1000)), place))
    assert 8 * MIB <= place.stat().st_size <= 10 * MIB
    place.unlink()
    disk.measure()
    assert disk.used() < MIB


def test_two_that_arrive_together_share_the_room(disk: Disk, tmp_path: Path) -> None:
    first = disk.metered(iter([bytes(6 * MIB), b""]), tmp_path / "a")
    next(first)
    with pytest.raises(NoRoom):
        next(disk.metered(iter([bytes(6 * MIB)]), tmp_path / "b"))
    first.close()
    next(disk.metered(iter([bytes(6 * MIB)]), tmp_path / "b"))


def test_a_file_is_not_counted_twice_while_it_grows(disk: Disk, tmp_path: Path) -> None:
    place = tmp_path / "a"
    with disk.claim(place) as claim:
        claim.grow(6 * MIB)
        place.write_bytes(bytes(6 * MIB))
        disk.measure()
        assert disk.used() < 7 * MIB
    assert 6 * MIB <= disk.used() < 7 * MIB


def test_room_is_made_by_images_that_nobody_needs(disk: Disk) -> None:
    images = [4 * MIB, 4 * MIB]
    disk.images = lambda: sum(images)

    def drop(size: int) -> bool:
        assert size > 0
        return bool(images) and bool(images.pop())

    disk.make_room = drop
    disk.check(5 * MIB)
    assert images == [4 * MIB]
    disk.check(9 * MIB)
    assert images == []
    with pytest.raises(NoRoom):
        disk.check(11 * MIB)


def test_what_could_never_fit_drops_nothing(disk: Disk) -> None:
    disk.images = lambda: 4 * MIB
    disk.make_room = lambda _: pytest.fail("nothing is gained by dropping an image")
    with pytest.raises(NoRoom):
        disk.check(11 * MIB)


def test_without_a_limit_the_file_system_still_keeps_some(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.check(MIB)
    with pytest.raises(NoRoom, match="file system"):
        disk.check(2**60)
