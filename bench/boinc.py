"""BOINC's published rule of adaptive replication, to compare with: pure, no I/O.

Source: BOINC's wiki, page AdaptiveReplication. A host's count of consecutive valid results is incremented when a
replicated job of its is validated and zeroed when one is found invalid. When a job is sent to a host with a count of
10 or more, it is left unreplicated with probability 1 - 1/count; all others are replicated until two results agree.
An unreplicated result is accepted as it is.
"""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

TRUSTED_FROM = 10


@dataclass
class Job:
    """One unit of work: the answers so far, by host."""

    replicated: bool = False
    answers: dict[str, str] = field(default_factory=dict)
    sent: set[str] = field(default_factory=set)
    live: set[str] = field(default_factory=set)
    accepted: str = ""


class Rule:
    """A project of so many jobs under this rule."""

    def __init__(self, jobs: int, random: Random) -> None:
        self.jobs = [Job() for _ in range(jobs)]
        self.valid: dict[str, int] = {}
        self.results: Counter[str] = Counter()
        """Results returned, by host."""
        self._half: Counter[str] = Counter()
        self.left = jobs
        """Jobs not accepted yet."""
        self._random = random
        self._fresh = 0
        self._open: list[int] = []

    def lease(self, host: str) -> int | None:
        """A job for this host; None where there is none that it may have."""
        for place in range(len(self._open) - 1, -1, -1):
            number = self._open[place]
            job = self.jobs[number]
            if job.accepted or len(job.live) + self._best(job) >= (2 if job.replicated else 1):
                self._open.pop(place)
            elif host not in job.sent:
                return self._send(number, host)
        if self._fresh == len(self.jobs):
            return None
        number = self._fresh
        self._fresh += 1
        count = self.valid.get(host, 0)
        trusted = count >= TRUSTED_FROM and self._random.random() < 1 - 1 / count
        self.jobs[number].replicated = not trusted
        if not trusted:
            self._open.append(number)
        return self._send(number, host)

    def _send(self, number: int, host: str) -> int:
        job = self.jobs[number]
        job.sent.add(host)
        job.live.add(host)
        return number

    def lost(self, host: str, number: int) -> None:
        """The host never returns this job."""
        self.jobs[number].live.discard(host)
        self._reopen(number)

    def returned(self, host: str, number: int, answer: str) -> None:
        self.results[host] += 1
        if 2 * self.left >= len(self.jobs):
            self._half[host] += 1
        job = self.jobs[number]
        job.live.discard(host)
        if job.accepted:
            self._judge(host, answer == job.accepted)
            return
        job.answers[host] = answer
        if not job.replicated:
            self._accept(job, answer)
        elif self._best(job) >= 2:
            answers = list(job.answers.values())
            self._accept(job, max(answers, key=answers.count))
            for each, given in job.answers.items():
                self._judge(each, given == job.accepted)
        else:
            self._reopen(number)

    def _accept(self, job: Job, answer: str) -> None:
        job.accepted = answer
        self.left -= 1

    def _reopen(self, number: int) -> None:
        if not self.jobs[number].accepted and number not in self._open:
            self._open.append(number)

    def _judge(self, host: str, valid: bool) -> None:
        self.valid[host] = self.valid.get(host, 0) + 1 if valid else 0

    @staticmethod
    def _best(job: Job) -> int:
        given = list(job.answers.values())
        return max((given.count(answer) for answer in given), default=0)

    @staticmethod
    def chunk_of(lease: int) -> int:
        return lease

    def second_half(self, hosts: set[str]) -> float:
        """Results of these hosts a job, since half of the jobs were accepted."""
        return sum(self.results[host] - self._half[host] for host in hosts) / (len(self.jobs) / 2)

    def seen(self, number: int) -> list[str]:
        """What others have answered so far."""
        return list(self.jobs[number].answers.values())

    def wrong(self, truth: str) -> int:
        """Accepted jobs whose answer is not the truth."""
        return sum(1 for job in self.jobs if job.accepted and job.accepted != truth)
