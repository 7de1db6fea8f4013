"""A change of policy and the connections that are there: on a real node, with the controller told to look at them anew, or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from controlplane.p4rt.revalidation import GENERATION_TABLE, POLICY_TABLES, draw_generation, policy_containers
from p4base.lookup import P4InfoIndex
from p4base.messages import p4i, p4r
from tests.controlplane.cluster import node_value, pod_value, policy_value
from tests.controlplane.pipeline import make_p4info
from tests.kulvert.node import Node, running_node

GATEWAY = "02:00:a9:fe:01:01"
PODS = [
    node_value("node-a", "192.0.2.10", "10.1.0.0/16"),
    pod_value("web", "10.1.0.1", {"app": "web"}, port=1),
    pod_value("db", "10.1.0.2", {"app": "db"}, port=2),
]


def policy(*clients: str) -> dict[str, Any]:
    """Who may come to db."""
    peers = [{"podSelector": {"matchLabels": {"app": client}}} for client in clients]
    return policy_value(podSelector={"matchLabels": {"app": "db"}}, ingress=[{"from": peers}])


def passes(node: Node, *, is_answer: bool) -> bool:
    """Whether a packet of the one connection arrives."""
    source, destination = (2, 1) if is_answer else (1, 2)
    frame = Ether(src=f"02:00:00:00:00:0{source}", dst=GATEWAY) / IP(
        src=f"10.1.0.{source}", dst=f"10.1.0.{destination}"
    )
    datagram = UDP(sport=53, dport=4000) if is_answer else UDP(sport=4000, dport=53)
    return [port for port, _ in node.dataplane.inject(source, bytes(frame / datagram))] == [destination]


def apply(node: Node, values: list[dict[str, Any]]) -> None:
    """Replace the objects, and wait until the switch holds what they say."""
    before = node.controller.reconciler.last_sync
    node.apply(values)
    node.wait(lambda: node.controller.reconciler.last_sync is not before)
    node.wait(node.controller.reconciler.synced.is_set)


@pytest.mark.parametrize("revalidate", [True, False])
def test_live_connections_follow_policy_if_the_controller_is_told_so(tmp_path: Path, revalidate: bool) -> None:
    with running_node(tmp_path, [*PODS, policy("web")], revalidate_connections=revalidate) as node:
        assert passes(node, is_answer=False) and passes(node, is_answer=True)
        apply(node, [*PODS, policy("web", "somebody")])
        assert passes(node, is_answer=True) and passes(node, is_answer=False), "it is allowed as it was"
        apply(node, [*PODS, policy("somebody")])
        assert passes(node, is_answer=True) is not revalidate
        assert passes(node, is_answer=False) is not revalidate


def test_the_generation_is_another_one_each_time() -> None:
    info = make_p4info()
    assert draw_generation(P4InfoIndex(info)) == [], "a pipeline that cannot revalidate"
    action, table = info.actions.add(), info.tables.add(size=1)
    action.preamble.CopyFrom(
        p4i.Preamble(id=(1 << 24) + 998, name="set_policy_generation", alias="set_policy_generation")
    )
    action.params.add(id=1, name="generation", bitwidth=32)
    table.preamble.CopyFrom(p4i.Preamble(id=(2 << 24) + 998, name=GENERATION_TABLE, alias=GENERATION_TABLE))
    table.action_refs.add(id=action.preamble.id)
    index = P4InfoIndex(info)
    ((kind, data),), ((_, other),) = draw_generation(index), draw_generation(index)
    assert kind == p4r.Update.MODIFY and data != other
    assert p4r.Entity.FromString(data).table_entry.is_default_action
    assert len(policy_containers(index)) == len(POLICY_TABLES)
