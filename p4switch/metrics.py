"""The switch's Prometheus metrics (`--metrics-address`). They are read from the switch when they are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from p4switch.native import NativeDataplane

_BUCKETS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class SwitchCollector(Collector):
    """Ports, tables, profiles, drops and the program."""

    def __init__(self, dataplane: NativeDataplane) -> None:
        self._dataplane = dataplane

    def collect(self) -> Iterable[Metric]:
        yield from self._ports()
        drops = CounterMetricFamily("kulvert_switch_dropped_packets", "Packets dropped.", labels=["reason"])
        for reason, count in self._dataplane.drops().items():
            drops.add_metric([reason], count)
        yield drops
        yield GaugeMetricFamily(
            "kulvert_switch_uptime_seconds", "Since the switch started.", self._dataplane.elapsed_us() / 1e6
        )
        yield from self._program()

    def _ports(self) -> Iterator[Metric]:
        labels = ["port", "interface"]
        up = GaugeMetricFamily("kulvert_switch_port_up", "1 while the interface runs.", labels=labels)
        kinds = {
            f"{way}_{unit}": CounterMetricFamily(f"kulvert_switch_port_{way}_{unit}", text, labels=labels)
            for way, verb in (("receive", "received"), ("transmit", "sent"))
            for unit, text in (
                ("packets", f"Packets {verb}."),
                ("bytes", f"Bytes {verb}."),
                ("dropped", f"Packets that could not be {verb}."),
            )
        }
        for port in self._dataplane.ports():
            values = [str(port.port), port.interface]
            up.add_metric(values, float(port.up))
            for name, value in {
                "receive_packets": port.rx_packets,
                "receive_bytes": port.rx_bytes,
                "receive_dropped": port.rx_dropped,
                "transmit_packets": port.tx_packets,
                "transmit_bytes": port.tx_bytes,
                "transmit_dropped": port.tx_dropped,
            }.items():
                kinds[name].add_metric(values, value)
        yield up
        yield from kinds.values()

    def _program(self) -> Iterator[Metric]:
        occupancy = self._dataplane.occupancy()
        program = InfoMetricFamily("kulvert_switch_pipeline", "The program that runs.")
        entries = GaugeMetricFamily("kulvert_switch_table_entries", "Entries in a table.", labels=["table"])
        sizes = GaugeMetricFamily("kulvert_switch_table_size", "Entries that it can have.", labels=["table"])
        members = GaugeMetricFamily("kulvert_switch_profile_members", "Members.", labels=["profile"])
        groups = GaugeMetricFamily("kulvert_switch_profile_groups", "Groups.", labels=["profile"])
        limits = GaugeMetricFamily("kulvert_switch_profile_size", "Members and groups it can have.", labels=["profile"])
        if occupancy is not None:
            digest = hashlib.sha256(occupancy.config).hexdigest()[:16]
            program.add_metric([], {"program": occupancy.program, "config": digest})
            for name, (count, size) in occupancy.tables.items():
                entries.add_metric([name], count)
                sizes.add_metric([name], size)
            for name, (member_count, group_count, size) in occupancy.profiles.items():
                members.add_metric([name], member_count)
                groups.add_metric([name], group_count)
                limits.add_metric([name], size)
        yield from (program, entries, sizes, members, groups, limits)


class MetricsServer:
    """Serves the metrics over HTTP, at any path.

    Raises:
        OSError: the address cannot be had.
    """

    def __init__(self, dataplane: NativeDataplane, host: str, port: int) -> None:
        registry = CollectorRegistry()
        registry.register(SwitchCollector(dataplane))
        self._writes = Histogram(
            "kulvert_switch_write_seconds",
            "Time of a P4Runtime Write, by its outcome.",
            ["outcome"],
            buckets=_BUCKETS,
            registry=registry,
        )
        server, self._thread = start_http_server(port, host, registry)
        self._server: WSGIServer = server

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    def observe_write(self, seconds: float, succeeded: bool) -> None:
        self._writes.labels("ok" if succeeded else "refused").observe(seconds)

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
