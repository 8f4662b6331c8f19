"""The background duties: one holder at a time, taken over when it is gone, and done by the real process."""

import threading

import pytest

from dockercomp.protocol.errors import Unauthorized
from dockercomp.protocol.messages import EnrolRequest
from server import describing, housekeeping
from server.settings import Settings
from server.store import Store
from server.store.credentials import secret_hash
from tests.integration.simulated import CEILING, MACHINE, Master, Volunteer


def test_a_duty_has_one_holder_and_its_fence_grows_with_each_new_one(store: Store) -> None:
    first = store.duties.hold("d", "a", 60)
    assert first is not None and first["fence"] == 1
    assert store.duties.hold("d", "b", 60) is None
    again = store.duties.hold("d", "a", 60)
    assert again is not None and again["fence"] == 1 and again["now"] >= first["now"]
    store.duties.give_up("d", "a")
    second = store.duties.hold("d", "b", 60)
    assert second is not None and second["fence"] == 2
    assert store.duties.hold("d", "a", 60) is None


def test_a_duty_whose_holder_died_is_taken_over_when_its_time_is_up(store: Store) -> None:
    assert store.duties.hold("d", "dead", -1) is not None
    taken = store.duties.hold("d", "b", 60)
    assert taken is not None and taken["holder"] == "b" and taken["fence"] == 2


def test_two_processes_run_the_duties_and_a_job_is_moved_on(store: Store, settings: Settings) -> None:
    """A map stage whose last chunk was accepted by a master that died before moving the job on."""
    master = Master(store)
    master.sync._stages.advance = lambda job: False  # type: ignore[method-assign]
    job = master.submit(3, quorum=1)
    volunteer = master.volunteer()
    volunteer.work(3)
    volunteer.work(0)
    found = store.jobs.by_id(job)
    assert found is not None and found["state"] == "running"
    stop = threading.Event()
    duties = [threading.Thread(target=housekeeping.run, args=(store, settings, stop)) for _ in range(2)]
    for duty in duties:
        duty.start()
    try:
        waiting = threading.Event()
        for _ in range(300):
            found = store.jobs.by_id(job)
            if found is None or found["state"] != "running" or waiting.wait(0.1):
                break
        assert found is not None and found["state"] == "completed"
    finally:
        stop.set()
        for duty in duties:
            duty.join()


def test_a_silent_client_is_shown_as_such_and_a_long_silent_one_is_retired(store: Store, settings: Settings) -> None:
    master = Master(store)
    quiet, lively = master.volunteer(), master.volunteer()
    quiet.work(0)
    lively.work(0)
    duties = housekeeping.Housekeeping(store, settings)
    now = store.duties.now()

    def state(volunteer: Volunteer, at: float) -> str:
        document = store.clients.by_id(volunteer.id)
        assert document is not None
        return describing.client(document, at, settings.silent_after_s).state

    assert (state(quiet, now), state(quiet, now + settings.silent_after_s + 1)) == ("alive", "silent")
    store.database["clients"].update_one({"_id": quiet.id}, {"$inc": {"seen": -settings.retire_after_s - 60}})
    duties.round(now)
    assert (state(quiet, now), state(lively, now)) == ("retired", "alive")
    with pytest.raises(Unauthorized, match="enrol again"):
        quiet.work(0)


def test_a_client_retired_for_its_silence_comes_back_by_a_token_that_is_used_up(
    store: Store, settings: Settings
) -> None:
    master = Master(store)
    store.database["credentials"].update_one({"_id": secret_hash(master.token)}, {"$set": {"uses": 1}})
    asked = EnrolRequest(token=master.token, machine=MACHINE, ceiling=CEILING, request="a" * 16)
    first = master.enrolment.enrol(asked, "192.0.2.1")
    store.database["clients"].update_one({"_id": first.client}, {"$inc": {"seen": -settings.retire_after_s - 60}})
    housekeeping.Housekeeping(store, settings).round(store.duties.now())
    assert store.clients.authentic(first.client, secret_hash(first.secret)) is None
    again = master.enrolment.enrol(asked, "192.0.2.1")
    assert again.client == first.client and store.clients.authentic(again.client, secret_hash(again.secret))
