"""Kill -9 under a program that maps a function: it gets the right results and notices nothing."""

from tests.chaos.conftest import Installation, kill


def _square(number: int) -> int:
    import time

    time.sleep(0.2)
    return number * number


def test_a_map_outlives_parts_of_the_master(installation: Installation) -> None:
    with installation.client() as client:
        results = client.map(_square, range(30), memory="64 MiB", disk="16 MiB")
        found = []
        for number, result in enumerate(results):
            found.append(result)
            if number in (3, 12):
                kill(installation.pid(installation.master.home, "server", "master" if number == 3 else "mongod"))
    assert found == [number * number for number in range(30)]
