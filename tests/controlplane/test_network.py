"""What the derivation says of ports, ways and the node's own addresses (desired/ports.py, routes.py, node.py)."""

from __future__ import annotations

from typing import Any

from controlplane.addresses import format_address, parse_address
from controlplane.attachments import parse_attachments
from controlplane.desired.derive import Derivation
from controlplane.desired.entities import (
    ActionCall,
    ActionProfileGroup,
    ActionProfileMember,
    Exact,
    GroupMember,
    GroupReference,
    Lpm,
)
from controlplane.p4rt.allocate import Allocator
from controlplane.p4rt.codec import Codec
from p4base.lookup import P4InfoIndex
from tests.controlplane.cluster import NODE_NAME, derive, entries_of, node_value, pod_value
from tests.controlplane.pipeline import make_p4info

PORTS = """
node: {port: 500, mac: "02:00:00:00:01:00", mtu: 9000}
uplinks:
  - {port: 501, mac: "02:00:00:00:02:00", mtu: 1500}
  - {port: 502, mac: "02:00:00:00:02:00"}
pods:
  - {namespace: shop, name: filed, port: 1, mac: "02:00:00:00:00:01", mtu: 1400}
"""


TWO_UPLINKS = """
uplinks:
  - port: 501
    mac: "02:00:00:00:02:00"
    neighbors: {192.0.2.2: "02:00:00:00:02:02", 198.51.100.1: "02:00:00:00:02:09"}
  - port: 502
    mac: "02:00:00:00:03:00"
    neighbors: {192.0.2.2: "02:00:00:00:03:02", 198.51.100.2: "02:00:00:00:03:09"}
routes:
  - {to: 0.0.0.0/0, via: [198.51.100.1, 198.51.100.2]}
  - {to: 203.0.113.0/24, via: 198.51.100.1}
"""


def attach(derivation: Derivation, text: str) -> None:
    derivation.set_attachments(parse_attachments(text, "ports.yaml"))
    derivation.settle()


def parameters(derivation: Derivation, table: str) -> dict[Any, Any]:
    """The first match field's value to the first action parameter's, over a table's entries."""
    found = {}
    for entry in entries_of(derivation.ledger, table):
        assert isinstance(entry.action, ActionCall)
        assert isinstance(entry.match[0], Exact)
        found[entry.match[0].value] = entry.action.params[0].value
    return found


def test_a_port_has_the_mtu_that_the_file_or_the_annotation_says_and_else_none() -> None:
    annotated, plain = pod_value("annotated", "10.1.0.2", port=2), pod_value("plain", "10.1.0.3", port=3)
    annotated["metadata"]["annotations"]["kulvert.dev/mtu"] = "1450"
    derivation = derive([pod_value("filed", "10.1.0.1"), annotated, plain])
    attach(derivation, PORTS)
    assert parameters(derivation, "mtu_table") == {1: 1400, 2: 1450, 500: 9000, 501: 1500}
    attach(derivation, "")
    assert parameters(derivation, "mtu_table") == {2: 1450}


def test_an_mtu_below_what_ipv6_needs_is_refused_with_the_pod() -> None:
    pod = pod_value("narrow", "10.1.0.1", port=1)
    pod["metadata"]["annotations"]["kulvert.dev/mtu"] = "576"
    derivation = derive([pod])
    assert [str(problem) for problem in derivation.problems] == [
        "Pod/shop/narrow: the annotation kulvert.dev/mtu must be a number of bytes from 1280 to 65535, not '576'"
    ]
    assert not entries_of(derivation.ledger, "source_pod_table")


def test_errors_come_from_the_primary_address_of_each_family() -> None:
    derivation = derive([node_value(NODE_NAME, "192.0.2.1", "10.1.0.0/16")])
    address = parse_address("192.0.2.1")
    assert parameters(derivation, "error_source_table") == {0: address}
    assert parameters(derivation, "masquerade_table") == {0: address}


def hops(derivation: Derivation) -> dict[str, set[tuple[int, int]]]:
    """Of each route, the port and the neighbour's MAC of every way; the groups are checked on the way."""
    members = {}
    groups = {}
    for entity in derivation.ledger:
        if isinstance(entity, ActionProfileMember):
            params = {param.name: param.value for param in entity.action.params}
            members[entity.member] = params["port"], params["dst_mac"]
        elif isinstance(entity, ActionProfileGroup):
            groups[entity.group] = entity.members
    sets = {}
    for entry in entries_of(derivation.ledger, "next_hop_table"):
        assert isinstance(entry.action, GroupReference)
        assert isinstance(entry.match[0], Exact)
        sets[entry.match[0].value] = {members[item.member] for item in groups[entry.action.group]}
        assert [item.watch_port for item in groups[entry.action.group]] == [
            members[item.member][0] for item in groups[entry.action.group]
        ]
    found = {}
    for entry in entries_of(derivation.ledger, "route_table"):
        assert isinstance(entry.action, ActionCall)
        assert isinstance(entry.match[0], Lpm)
        params = {param.name: param.value for param in entry.action.params}
        ways = sets[params["next_hops_id"]] if entry.action.action == "use_next_hops" else None
        prefix = f"{format_address(entry.match[0].value)}/{entry.match[0].prefix_length - 96}"
        found[prefix] = ways or {(params["port"], params["dst_mac"])}
    return found  # type: ignore[return-value]


def test_a_neighbour_on_two_uplinks_and_a_route_by_two_neighbours_share_the_load() -> None:
    derivation = derive([node_value("node-b", "192.0.2.2", "10.2.0.0/16")])
    attach(derivation, TWO_UPLINKS)
    both = {(501, 0x020000000202), (502, 0x020000000302)}
    outside = {(501, 0x020000000209), (502, 0x020000000309)}
    assert hops(derivation) == {
        "192.0.2.2/32": both,
        "10.2.0.0/16": both,
        "0.0.0.0/0": outside,
        "203.0.113.0/24": {(501, 0x020000000209)},
    }
    attach(derivation, TWO_UPLINKS.replace('192.0.2.2: "02:00:00:00:03:02", ', "").replace(", 198.51.100.2]", "]"))
    assert hops(derivation)["10.2.0.0/16"] == {(501, 0x020000000202)}
    assert not entries_of(derivation.ledger, "next_hop_table"), "one next hop is no set"


def test_ways_that_are_the_same_are_one_set() -> None:
    nodes = [node_value(f"node-{n}", "192.0.2.2", f"10.{n}.0.0/16") for n in range(2, 9)]
    derivation = derive(nodes)
    attach(derivation, TWO_UPLINKS)
    assert len(entries_of(derivation.ledger, "next_hop_table")) == 2
    assert not derivation.problems


def test_a_watch_port_goes_to_the_switch_and_comes_back() -> None:
    codec = Codec(P4InfoIndex(make_p4info()), Allocator())
    members = (GroupMember(1, 1, 0), GroupMember(2, 3, 502), GroupMember(3))
    group = ActionProfileGroup("next_hop_selector", 7, members)
    wire = codec.encode(group)
    assert codec.decode(wire.message) == group
    assert codec.canonical(wire.message) == wire
    padded = wire.message
    padded.action_profile_group.members[1].watch_port = b"\0\0\x01\xf6"
    assert codec.canonical(padded) == wire, "a server may give it back in another form"
