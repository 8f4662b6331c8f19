"""Prometheus metrics of the master. With PROMETHEUS_MULTIPROC_DIR set, /metrics speaks for all of its processes."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess


class Metrics:
    """The counters and histograms; made once a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "dockercomp_requests", "Requests answered.", ["route", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "dockercomp_request_seconds", "Time to answer a request.", ["route"], registry=self.registry
        )
        self.phase_seconds = Histogram(
            "dockercomp_sync_phase_seconds",
            "Where a sync's time goes.",
            ["phase"],
            registry=self.registry,
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
        )
        self.chunks = Counter(
            "dockercomp_chunk_changes",
            "Chunks that syncs changed, or found changed by another sync.",
            ["outcome"],
            registry=self.registry,
        )

    def count_stored(self, stored: int, decided: int) -> None:
        """Of the chunks that a sync decided to change, so many were."""
        self.chunks.labels("stored").inc(stored)
        self.chunks.labels("changed by another meanwhile").inc(decided - stored)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time one phase of a sync."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.phase_seconds.labels(name).observe(time.perf_counter() - start)

    def exposition(self) -> bytes:
        """The metrics in Prometheus' text format."""
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            whole = CollectorRegistry()
            multiprocess.MultiProcessCollector(whole)  # type: ignore[no-untyped-call]
            return generate_latest(whole)
        return generate_latest(self.registry)
