"""Make before break, with packets: while endpoints come and go, no new connection to their Service is dropped or refused."""

from __future__ import annotations

import itertools
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from controlplane.addresses import parse_address
from controlplane.desired.entities import ActionProfileGroup
from kulvert.inspection.packets import first_packet
from tests.controlplane.cluster import node_value, pod_value, service_value, slice_value
from tests.kulvert.node import Node, running_node

GATEWAY, VISITOR_MAC, VISITOR = 0x0200A9FE0101, 0x020000000001, "10.1.0.1"
PODS = {number: f"10.1.0.{number}" for number in range(2, 7)}


def cluster(endpoints: list[int]) -> list[dict[str, Any]]:
    pods = [pod_value(f"web-{number}", ip, {"app": "web"}, port=number) for number, ip in PODS.items()]
    return [
        node_value("node-a", "192.0.2.10"),
        service_value(),
        slice_value(endpoints=[PODS[number] for number in endpoints]),
        pod_value("visitor", VISITOR, {"app": "visitor"}, port=1),
        *pods,
    ]


class Load(threading.Thread):
    """Opens connections as fast as it can, and notes what became of each: the port it went to, or None."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self._node = node
        self.ports: list[int | None] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        addresses = (parse_address(VISITOR), parse_address("10.96.0.10"))
        for client in itertools.cycle(range(1024, 65536)):
            if self.stopping.is_set():
                return
            frame = first_packet((VISITOR_MAC, GATEWAY), addresses, "tcp", (client, 80))
            sent = self._node.dataplane.inject(1, frame)
            self.ports.append(sent[0][0] if sent else None)


def _holds(node: Node, endpoints: list[int], since: float) -> bool:
    """Whether exactly so many endpoints are wanted, and what was written last was written after `since`."""
    reconciler = node.controller.reconciler
    groups = [entity for entity in list(reconciler.derivation.ledger) if isinstance(entity, ActionProfileGroup)]
    last = reconciler.last_sync
    return [len(group.members) for group in groups] == [len(endpoints)] and last is not None and last.at > since


def test_no_connection_fails_in_a_rolling_update_under_load(tmp_path: Path) -> None:
    with running_node(tmp_path, cluster([2, 3])) as node:
        load = Load(node)
        load.start()
        try:
            # One in, one out, until none of the first is left.
            for step in ([2, 3, 4], [3, 4], [3, 4, 5], [4, 5], [4, 5, 6], [5, 6]):
                before, since = len(load.ports), time.time()
                node.apply(cluster(step))
                node.wait(partial(_holds, node, step, since))
                node.wait(lambda before=before: len(load.ports) > before + 20)  # type: ignore[misc]
        finally:
            load.stopping.set()
            load.join()
        assert set(load.ports) <= set(PODS), "every connection went to a pod: none was dropped, none sent back"
        again = Load(node)
        again.start()
        node.wait(lambda: len(again.ports) > 100)
        again.stopping.set()
        again.join()
        assert set(again.ports) == {5, 6}
