"""What the derivation says of ports, ways and the node's own addresses (desired/ports.py, routes.py, node.py)."""

from __future__ import annotations

from typing import Any

from controlplane.addresses import parse_address
from controlplane.attachments import parse_attachments
from controlplane.desired.derive import Derivation
from controlplane.desired.entities import ActionCall, Exact
from tests.controlplane.cluster import NODE_NAME, derive, entries_of, node_value, pod_value

PORTS = """
node: {port: 500, mac: "02:00:00:00:01:00", mtu: 9000}
uplinks:
  - {port: 501, mac: "02:00:00:00:02:00", mtu: 1500}
  - {port: 502, mac: "02:00:00:00:02:00"}
pods:
  - {namespace: shop, name: filed, port: 1, mac: "02:00:00:00:00:01", mtu: 1400}
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
