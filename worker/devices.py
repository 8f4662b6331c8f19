"""The devices that a volunteer may lend to a job, as this machine has them."""

from collections.abc import Iterable
from pathlib import Path

from dockercomp.protocol.orders import DEVICES


def there() -> list[str]:
    """Those of the protocol's that this machine has."""
    return [device for device in sorted(DEVICES) if Path(device).exists()]


def groups(devices: Iterable[str]) -> tuple[int, ...]:
    """The groups that may use these devices, without which an ordinary user inside could not; never root's."""
    found = {each.stat().st_gid for device in devices for each in _nodes(Path(device))}
    return tuple(sorted(found - {0}))


def _nodes(device: Path) -> list[Path]:
    """The device's nodes: some are folders of several."""
    if device.is_dir():
        return [each for each in device.iterdir() if each.is_char_device()]
    return [device] if device.exists() else []
