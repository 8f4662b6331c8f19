from pathlib import Path


def archive_pin(path: Path) -> tuple[str, str]:
    raise ValueError(path)
