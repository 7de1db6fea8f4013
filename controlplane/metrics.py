"""Prometheus metrics, in a registry of the controller's own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class Metrics:
    """Everything that is counted. Names follow Prometheus' conventions: seconds, `_total`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.sync_seconds = Histogram(
            "kulvert_sync_duration_seconds",
            "Time from taking up a change to the switch's acknowledgement.",
            ["kind"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.updates = Counter(
            "kulvert_updates_total", "P4Runtime updates that the switch accepted.", ["type"], registry=self.registry
        )
        self.objects = Gauge("kulvert_objects", "Kubernetes objects held.", registry=self.registry)
        self.entries = Gauge(
            "kulvert_entries", "Entries in a table or action profile.", ["table"], registry=self.registry
        )
        self.capacity = Gauge("kulvert_capacity", "Its size in the P4Info.", ["table"], registry=self.registry)
        self.pending = Gauge(
            "kulvert_pending_changes", "Objects that have changed and were not looked at yet.", registry=self.registry
        )
        self.problems = Gauge("kulvert_problems", "Objects' problems at present.", registry=self.registry)
        self.primary = Gauge("kulvert_primary", "1 while this controller is primary.", registry=self.registry)
        self.connects = Counter("kulvert_switch_sessions_total", "Sessions with the switch.", registry=self.registry)
