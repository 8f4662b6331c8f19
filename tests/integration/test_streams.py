"""What running chunks tell of themselves reaches those who watch: bounded, of own leases only, gone at the end."""

import msgspec
import pytest

from dockercomp.protocol.messages import STREAM_PART, RunningReport
from server.store import Store
from server.store.streams import KEPT
from tests.integration.simulated import Master, Volunteer


@pytest.fixture
def master(store: Store) -> Master:
    return Master(store)


def leased(master: Master, count: int = 1) -> tuple[str, Volunteer, list[str]]:
    job = master.submit(count, quorum=1)
    volunteer = master.volunteer()
    volunteer.send(volunteer.request(count))
    return job, volunteer, sorted(volunteer.held)


def tell(volunteer: Volunteer, *reports: RunningReport, again: bool = False) -> None:
    request = msgspec.structs.replace(volunteer.request(0), running=list(reports))
    for _ in range(1 + again):
        volunteer.send(request)


def report(lease: str, *, seconds: float = 3.0, **more: object) -> RunningReport:
    return RunningReport(lease=lease, seconds=seconds, **more)  # type: ignore[arg-type]


def test_a_running_chunk_is_seen_and_its_streams_grow(master: Master) -> None:
    job, volunteer, (lease,) = leased(master)
    tell(volunteer, report(lease, progress=0.25, message="reading", log=b"one\n", output=b"a"), again=True)
    tell(volunteer, report(lease, progress=0.5, checkpoint=7, log_from=4, log=b"two\n", output_from=1, output=b"b"))
    (found,) = master.store.streams.of_job(job, 10)
    assert (found["_id"], found["client"], found["stage"], found["index"]) == (lease, volunteer.id, 0, 0)
    assert (found["progress"], found["message"], found["checkpoint"]) == (0.5, "", 7) and 0 <= found["ago"] < 60
    assert master.store.streams.read(job, lease, "log") == (0, b"one\ntwo\n"), "a repeated sync counts once"
    assert master.store.streams.read(job, lease, "output") == (0, b"ab")
    assert master.store.streams.read("other", lease, "log") == (0, b"")


def test_only_ones_own_leases_are_told_of_and_only_while_they_live(master: Master) -> None:
    job, volunteer, (lease,) = leased(master)
    other = master.volunteer()
    tell(other, report(lease, log=b"a lie"), report("nonsense", log=b"x"), report(f"{other.id}.{job}.0.0.x"))
    assert master.store.streams.of_job(job, 10) == []
    tell(volunteer, report(lease, log=b"said"))
    volunteer.compute()
    ended = msgspec.structs.replace(volunteer.results[lease], wall_s=3.5)
    volunteer.results[lease] = ended
    volunteer.send(volunteer.request(0))
    assert master.store.streams.of_job(job, 10) == []


def test_only_the_last_bytes_are_kept(master: Master) -> None:
    job, volunteer, (lease,) = leased(master)
    for number in range(20):
        part = bytes([65 + number]) * STREAM_PART
        tell(volunteer, report(lease, output_from=number * STREAM_PART, output=part))
    begin, held = master.store.streams.read(job, lease, "output")
    assert begin + len(held) == 20 * STREAM_PART and len(held) == KEPT and held.endswith(b"T" * STREAM_PART)
    tell(volunteer, report(lease, output_from=10**6, output=b"after a gap"))
    assert master.store.streams.read(job, lease, "output") == (10**6, b"after a gap")


def test_what_is_told_costs_one_round_trip_and_goes_after_a_day(master: Master) -> None:
    job, volunteer, leases = leased(master, 5)
    tell(volunteer, *(report(lease, log=b"x") for lease in leases))
    assert len(master.store.streams.of_job(job, 3)) == 3
    indexes = master.store.database["streams"].index_information()
    assert indexes["at"]["expireAfterSeconds"] == 24 * 3600
    document = master.store.database["streams"].find_one({"_id": leases[0]})
    assert document is not None and document["at"].year > 2000
