"""What the derivation says of ports, ways and the node's own addresses (desired/ports.py, routes.py, node.py)."""

from __future__ import annotations

from typing import Any

from controlplane.addresses import format_address, parse_address, parse_prefix
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
from controlplane.desired.inputs import Settings
from controlplane.desired.symbols import NextHopsId
from controlplane.kube.objects import ObjectRef, reference
from controlplane.p4rt.allocate import Allocator
from controlplane.p4rt.codec import Codec
from p4base.lookup import P4InfoIndex
from tests.controlplane.cluster import NODE_NAME, derive, entries_of, node_value, pod_value, typed
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


def test_nobody_comes_over_a_wire_in_the_name_of_this_node_or_its_pods() -> None:
    derivation = derive(
        [node_value(NODE_NAME, "192.0.2.1"), node_value("other", "192.0.2.2"), pod_value("web", "10.1.0.1")]
    )
    assert not entries_of(derivation.ledger, "uplink_source_table"), "without a wire"
    attach(derivation, PORTS.replace("filed", "web"))
    keys = [entry.match[0] for entry in entries_of(derivation.ledger, "uplink_source_table")]
    refused = {key.value for key in keys if isinstance(key, Exact)}
    assert refused == {parse_address("192.0.2.1"), parse_address("10.1.0.1")}


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


def test_a_switch_that_cannot_watch_ports_is_not_told_them() -> None:
    derivation = Derivation(Settings(NODE_NAME, watch_ports=False))
    attach(derivation, TWO_UPLINKS)
    groups = [entity for entity in derivation.ledger if isinstance(entity, ActionProfileGroup)]
    assert [item.watch_port for group in groups for item in group.members] == [None, None]


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


TUNNELS = """
node: {port: 500, mac: "02:00:00:00:01:00"}
uplinks:
  - port: 501
    mac: "02:00:00:00:02:00"
    neighbors: {198.51.100.1: "02:00:00:00:02:09", 192.0.2.2: "02:00:00:00:02:02"}
routes:
  - {to: 0.0.0.0/0, via: 198.51.100.1}
"""


def tunnelled(mode: str = "vxlan", attachments: str = TUNNELS, *nodes: dict[str, Any], vni: int = 7) -> Derivation:
    derivation = Derivation(Settings(NODE_NAME, tunnel_mode=mode, tunnel_vni=vni))
    for value in nodes or (
        node_value(NODE_NAME, "192.0.2.1", "10.1.0.0/16"),
        node_value("near", "192.0.2.2", "10.2.0.0/16"),
        node_value("far", "203.0.113.9", "10.3.0.0/16"),
    ):
        derivation.apply(reference(typed(value)), typed(value))
    attach(derivation, attachments)
    return derivation


def test_a_tunnel_leads_to_every_node_near_or_far() -> None:
    for mode in ("vxlan", "geneve"):
        derivation = tunnelled(mode)
        assert not derivation.problems
        near, far = parse_address("192.0.2.2"), parse_address("203.0.113.9")
        found = {}
        for entry in entries_of(derivation.ledger, "tunnel_table"):
            assert isinstance(entry.action, ActionCall)
            assert isinstance(entry.match[0], Exact)
            assert entry.action.action == f"set_{mode}"
            params = {param.name: param.value for param in entry.action.params}
            assert (params["local_addr"], params["vni"]) == (parse_address("192.0.2.1"), 7)
            assert isinstance(params["next_hops_id"], NextHopsId)
            found[entry.match[0].value] = [hop.dst_mac for hop in params["next_hops_id"].hops]
        assert found == {near: [0x020000000202], far: [0x020000000209]}
        sources = {
            tuple(field.value for field in entry.match if isinstance(field, Exact))
            for entry in entries_of(derivation.ledger, "tunnel_source_table")
        }
        assert sources == {(near, int(mode == "geneve"), 7), (far, int(mode == "geneve"), 7)}
        ends = {
            entry.match[0].value
            for entry in entries_of(derivation.ledger, "tunnel_end_table")
            if isinstance(entry.match[0], Exact)
        }
        assert ends == {parse_address("192.0.2.1")}
        routes = {
            entry.action.params[0].value
            for entry in entries_of(derivation.ledger, "route_table")
            if isinstance(entry.action, ActionCall) and entry.action.action == "use_tunnel"
        }
        assert routes == {near, far}


def test_a_node_that_goes_takes_its_tunnel_with_it() -> None:
    derivation = tunnelled()
    derivation.apply(ObjectRef("Node", "", "far"), None)
    derivation.settle()
    assert len(entries_of(derivation.ledger, "tunnel_table")) == 1
    assert len(entries_of(derivation.ledger, "tunnel_source_table")) == 1
    for name in ("near", NODE_NAME):
        derivation.apply(ObjectRef("Node", "", name), None)
    derivation.settle()
    assert not any(
        entries_of(derivation.ledger, name) for name in ("tunnel_table", "tunnel_source_table", "tunnel_end_table")
    )


def test_without_tunnels_there_are_none() -> None:
    derivation = tunnelled("routed")
    for name in ("tunnel_table", "tunnel_source_table", "tunnel_end_table"):
        assert not entries_of(derivation.ledger, name)
    assert [str(problem.ref) for problem in derivation.problems] == ["Node/far"], (
        "no neighbour, and nothing else will do"
    )


def test_a_tunnel_that_leads_nowhere_is_named() -> None:
    derivation = tunnelled("vxlan", TUNNELS.partition("routes:")[0])
    assert [str(problem.ref) for problem in derivation.problems] == ["Node/far"]
    assert "no tunnel leads to its InternalIP (203.0.113.9)" in str(*derivation.problems)
    assert len(entries_of(derivation.ledger, "tunnel_table")) == 1


def pod_ranges(mode: str, *cluster: str, own: str = "10.1.0.0/16") -> tuple[set[str], list[str]]:
    """The ranges whose sources count as pods, and what is wrong."""
    ranges = tuple(parse_prefix(text) for text in cluster)
    derivation = Derivation(Settings(NODE_NAME, cluster_cidrs=ranges, detect_local_mode=mode))
    for value in (node_value(NODE_NAME, "192.0.2.1", own), node_value("node-b", "192.0.2.2", "10.2.0.0/16")):
        derivation.apply(reference(typed(value)), typed(value))
    derivation.settle()
    found = {
        f"{format_address(entry.match[0].value)}/{entry.match[0].prefix_length - 96}"
        for entry in entries_of(derivation.ledger, "source_class_table")
        if isinstance(entry.match[0], Lpm)
        and isinstance(entry.action, ActionCall)
        and entry.action.action == "set_pod_source"
    }
    return found, [str(problem) for problem in derivation.problems]


def test_detect_local_mode_says_which_sources_are_pods() -> None:
    everything = {"10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16"}
    assert pod_ranges("Port", "10.0.0.0/8") == (everything, [])
    assert pod_ranges("ClusterCIDR", "10.0.0.0/8") == ({"10.0.0.0/8"}, [])
    assert pod_ranges("NodeCIDR", "10.0.0.0/8") == ({"10.1.0.0/16"}, [])
    found, problems = pod_ranges("NodeCIDR", "10.0.0.0/8", own="")
    assert not found
    assert problems == [f"Node/{NODE_NAME}: has no podCIDRs, which detect-local-mode NodeCIDR goes by"]
