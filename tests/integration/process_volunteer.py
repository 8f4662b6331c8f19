"""A volunteer for tests of the scientist's side: leases over HTTP, runs each job's own program as a plain process."""

import hashlib
import io
import secrets
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dockercomp.protocol.bundle import pack
from dockercomp.protocol.messages import (
    INLINE_LIMIT,
    PROTOCOL,
    EnrolAnswer,
    EnrolRequest,
    Failure,
    Lease,
    ResultReport,
    SyncAnswer,
    SyncRequest,
)
from dockercomp.protocol.orders import JobOrder, decode_order
from dockercomp.protocol.patterns import matching
from dockercomp.protocol.transport import Connection
from tests.integration.masters import RunningMaster
from tests.integration.simulated import CEILING, MACHINE


class ProcessVolunteer:
    """Knows command form with standard input, and output or files; gives everything else back."""

    def __init__(self, master: RunningMaster, folder: Path) -> None:
        request = EnrolRequest(
            token=master.enrolment_token(), machine=MACHINE, ceiling=CEILING, request=secrets.token_hex(8)
        )
        with_token = Connection(master.url)
        answer = with_token.call("enrol", EnrolAnswer, request)
        with_token.close()
        self._connection = Connection(master.url, f"{answer.client}.{answer.secret}")
        self._folder = folder
        self._session = secrets.token_hex(4)
        self._seq = 0
        self._orders: dict[str, JobOrder] = {}
        self._reports: dict[str, ResultReport] = {}
        self._payloads: dict[str, bytes] = {}

    def serve(self, stop: threading.Event) -> None:
        """Sync and compute until `stop` is set."""
        try:
            while not stop.wait(0.02):
                self._turn()
        finally:
            self._connection.close()

    def _turn(self) -> None:
        self._seq += 1
        request = SyncRequest(
            protocol=PROTOCOL,
            session=self._session,
            seq=self._seq,
            results=list(self._reports.values()),
            want=8,
            machine=MACHINE,
            ceiling=CEILING,
        )
        answer = self._connection.call("sync", SyncAnswer, request)
        for ack in answer.acks:
            if ack.status == "send":
                payload = self._payloads[ack.lease]
                self._connection.upload(self._reports[ack.lease].digest, len(payload), io.BytesIO(payload))
            else:
                self._reports.pop(ack.lease)
        for order in answer.orders:
            self._orders[order.job] = decode_order(order.body)
            self._unpack(order.job)
        for lease in answer.leases:
            self._reports[lease.id] = self._run(lease)

    def _unpack(self, job: str) -> None:
        data = b"".join(self._connection.read_parts("job_program", job=job))
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            archive.extractall(self._folder / job, filter="data")

    def _run(self, lease: Lease) -> ResultReport:
        program = self._orders[lease.job].stages[min(lease.stage, 1)].program
        if program.command is None:
            return ResultReport(lease=lease.id, outcome="returned")
        data = lease.input
        if data is None:
            data = b"".join(self._connection.read_parts("lease_input", lease=lease.id))
        place = self._folder / lease.job
        if program.outputs:
            place = Path(shutil.copytree(place, self._folder / lease.id))
        done = subprocess.run(program.command, input=data, capture_output=True, cwd=place, check=False)
        if done.returncode:
            message = f"the program ended with exit code {done.returncode}"
            failure = Failure(
                reason="exit", message=message, exit_code=done.returncode, log_head=done.stderr.decode()[:4096]
            )
            return ResultReport(lease=lease.id, outcome="failed", failure=failure)
        payload = self._payloads[lease.id] = _bundle(place, program.outputs) if program.outputs else done.stdout
        digest = hashlib.sha256(payload).hexdigest()
        inline = payload if len(payload) <= INLINE_LIMIT else None
        return ResultReport(lease=lease.id, outcome="done", digest=digest, size=len(payload), payload=inline)


def _bundle(place: Path, patterns: list[str]) -> bytes:
    paths = [path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()]
    found = sorted({path for pattern in patterns for path in matching(pattern, paths)}, key=str.encode)
    return pack([(path, (place / path).read_bytes()) for path in found])


@contextmanager
def volunteers(master: RunningMaster, folder: Path, number: int) -> Iterator[None]:
    """So many volunteers, each in a thread; an error in one ends the test."""
    stop = threading.Event()
    errors: list[BaseException] = []

    def serve(each: ProcessVolunteer) -> None:
        try:
            each.serve(stop)
        except BaseException as error:
            errors.append(error)

    workers = [ProcessVolunteer(master, folder / str(index)) for index in range(number)]
    threads = [threading.Thread(target=serve, args=(each,)) for each in workers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]
