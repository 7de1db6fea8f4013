"""Services, row by row of what Kubernetes requires (`tests/controlplane/contract.py`), as far as derivation goes.

Packets are judged by the entries alone (`service_judge`); `ptf_tests/stages/services.py` sends real ones through the pipeline.
"""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.addresses import parse_prefix
from controlplane.desired.derive import Derivation
from controlplane.desired.inputs import Settings
from tests.controlplane.cluster import (
    NODE_NAME,
    derive,
    endpoint,
    entries_of,
    node_value,
    service_cidr_value,
    service_value,
    slice_value,
    typed,
)
from tests.controlplane.service_judge import DROPPED, PASSES, REJECTED, Class, Judge, Verdict

NODE = node_value(NODE_NAME, "192.0.2.10", "10.1.0.0/16")
CLUSTER_IP, BALANCER, EXTERNAL, NODE_IP = "10.96.0.10", "198.51.100.1", "198.51.100.2", "192.0.2.10"
NODE_PORT = 30080
HERE, THERE = "10.1.0.1", "10.2.0.1"
ALL = frozenset({f"{HERE}:8080", f"{THERE}:8080"})
LOCAL = frozenset({f"{HERE}:8080"})
CLASSES: tuple[Class, ...] = ("outsider", "pod", "node")
EXTERNALS = ((BALANCER, 80), (EXTERNAL, 80), (NODE_IP, NODE_PORT))


def at(address: str, node: str | None = None, ready: bool = True, **more: Any) -> dict[str, Any]:
    conditions: dict[str, Any] = {"ready": ready}
    conditions |= {key: more.pop(key) for key in ("serving", "terminating") if key in more}
    return {"addresses": [address], "nodeName": node, "conditions": conditions, **more}


BOTH = (at(HERE, NODE_NAME), at(THERE, "node-b"))


def whole_service(**spec: Any) -> dict[str, Any]:
    """A Service with every kind of frontend."""
    value = service_value(
        ports=[{"port": 80, "nodePort": NODE_PORT}], type="LoadBalancer", externalIPs=[EXTERNAL], **spec
    )
    value["status"] = {"loadBalancer": {"ingress": [{"ip": BALANCER}]}}
    return value


def judge(endpoints: tuple[dict[str, Any], ...] = BOTH, settings: Settings | None = None, **spec: Any) -> Judge:
    return Judge(derive([NODE, whole_service(**spec), slice_value(endpoints=endpoints)], settings))


def everywhere(found: Judge) -> dict[tuple[str, Class], Verdict]:
    frontends = ((CLUSTER_IP, 80), *EXTERNALS)
    return {(address, source): found(source, address, port) for address, port in frontends for source in CLASSES}


# -- one row each


def test_cluster_ip() -> None:
    found = judge()
    assert found("pod", CLUSTER_IP) == Verdict("translated", ALL)
    for protocol in ("UDP", "SCTP"):
        assert found("pod", CLUSTER_IP, 80, protocol) == REJECTED
    three = [{"name": name, "port": 53, "protocol": name.upper()} for name in ("tcp", "udp", "sctp")]
    targets = [
        {"name": name, "port": 5300 + number, "protocol": name.upper()}
        for number, name in enumerate(("tcp", "udp", "sctp"))
    ]
    found = Judge(derive([service_value(ports=three), slice_value(ports=targets)]))
    for number, protocol in enumerate(("TCP", "UDP", "SCTP")):
        assert found("pod", CLUSTER_IP, 53, protocol).to == {f"10.1.0.1:{5300 + number}"}
    other = slice_value(ports=[{"name": "tcp", "port": 5300, "protocol": "UDP"}])
    assert Judge(derive([service_value(ports=three), other]))("pod", CLUSTER_IP, 53) == REJECTED, "a name is not enough"


def test_live_cluster_ip_wrong_port() -> None:
    found = judge()
    assert found("pod", CLUSTER_IP, 81) == found("outsider", CLUSTER_IP, 8080) == REJECTED


def test_service_range_address_that_nobody_holds() -> None:
    settings = Settings(NODE_NAME, service_cidrs=(parse_prefix("10.96.0.0/16"),))
    values = [service_value(), slice_value(), service_cidr_value("second", "10.97.0.0/16")]
    found = Judge(derive(values, settings))
    for address in ("10.96.0.11", "10.97.3.4"):
        assert found("pod", address) == found("outsider", address) == DROPPED
    assert found("pod", CLUSTER_IP, 81) == REJECTED, "a live one is more than its range"
    assert found("pod", "10.98.0.1") == PASSES


@pytest.mark.parametrize(
    "value",
    [
        service_value(ips=["None"]),
        service_value(ips=[CLUSTER_IP], type="ExternalName", externalName="example.org"),
        service_value(ips=["None"], externalIPs=[EXTERNAL], ports=[{"port": 80, "nodePort": NODE_PORT}]),
    ],
    ids=["headless", "ExternalName with a clusterIP", "headless with external addresses"],
)
def test_headless_and_external_name(value: dict[str, Any]) -> None:
    derivation = derive([NODE, value, slice_value()])
    assert not derivation.problems
    found = Judge(derivation)
    for address, port in ((CLUSTER_IP, 80), *EXTERNALS):
        assert found("pod", address, port) == found("outsider", address, port) == PASSES


def test_node_port() -> None:
    second = node_value(NODE_NAME, NODE_IP, "10.1.0.0/16")
    second["status"]["addresses"] += [
        {"type": "InternalIP", "address": "192.0.3.10"},
        {"type": "ExternalIP", "address": "203.0.113.1"},
    ]
    values = [second, whole_service(), slice_value(endpoints=BOTH)]
    found = Judge(derive(values))
    assert found("outsider", NODE_IP, NODE_PORT).to == ALL
    for address in ("192.0.3.10", "203.0.113.1", "192.0.2.11", CLUSTER_IP):
        expected = REJECTED if address == CLUSTER_IP else PASSES
        assert found("outsider", address, NODE_PORT) == expected, "only the primary address"
    assert found("outsider", NODE_IP, 80) == PASSES, "other ports pass untouched"
    ranges = (parse_prefix("192.0.3.0/24"), parse_prefix("203.0.113.0/24"))
    found = Judge(derive(values, Settings(NODE_NAME, nodeport_addresses=ranges)))
    assert [found("outsider", address, NODE_PORT).to for address in ("192.0.3.10", "203.0.113.1")] == [ALL, ALL]
    assert found("outsider", NODE_IP, NODE_PORT) == PASSES


@pytest.mark.parametrize(("mode", "has_entry"), [(None, True), ("VIP", True), ("Proxy", False)])
def test_load_balancer(mode: str | None, has_entry: bool) -> None:
    value = whole_service()
    value["status"]["loadBalancer"]["ingress"][0]["ipMode"] = mode
    found = Judge(derive([NODE, value, slice_value(endpoints=BOTH)]))
    assert found("outsider", BALANCER) == (Verdict("translated", ALL, True) if has_entry else PASSES)
    assert found("outsider", BALANCER, 81) == PASSES, "other ports of the address are never touched"
    value["status"]["loadBalancer"]["ingress"][0]["ip"] = None
    value["status"]["loadBalancer"]["ingress"][0]["hostname"] = "lb.example.org"
    assert Judge(derive([NODE, value, slice_value()]))("outsider", BALANCER) == PASSES


def test_load_balancer_source_ranges() -> None:
    found = judge(loadBalancerSourceRanges=["203.0.113.0/24"])
    assert found("outsider", BALANCER, client="203.0.113.9").to == ALL
    for address, port in ((CLUSTER_IP, 80), (EXTERNAL, 80), (NODE_IP, NODE_PORT)):
        assert found("outsider", address, port, client="192.0.2.200").to == ALL, "of load-balancer addresses only"
    assert found("outsider", BALANCER, client="192.0.2.200") == DROPPED
    assert found("pod", BALANCER, client="10.1.0.9") == DROPPED
    empty = judge((), loadBalancerSourceRanges=["203.0.113.0/24"])
    assert empty("outsider", BALANCER, client="192.0.2.200") == DROPPED, "before anything is rejected"
    assert empty("outsider", BALANCER, client="203.0.113.9") == REJECTED


def test_external_ips() -> None:
    found = judge()
    assert found("outsider", EXTERNAL) == Verdict("translated", ALL, True)
    assert found("outsider", EXTERNAL, 81) == PASSES


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        ({}, 0),
        ({"sessionAffinity": "None"}, 0),
        ({"sessionAffinity": "ClientIP"}, 10800),
        ({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}}, 60),
        ({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86400}}}, 86400),
        ({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86401}}}, 10800),
    ],
)
def test_session_affinity(spec: dict[str, Any], seconds: int) -> None:
    derivation = derive([NODE, whole_service(**spec), slice_value(endpoints=BOTH)])
    found = Judge(derivation)
    assert {verdict.affinity_seconds for verdict in everywhere(found).values()} == {seconds}
    ids = {entry.action.params[4].value for entry in entries_of(derivation.ledger, "service_frontend_table")}  # type: ignore[union-attr]
    assert len(ids) == 1, "one key for all of the Service's addresses"
    assert len(entries_of(derivation.ledger, "affinity_endpoint_table")) == (2 if seconds else 0)


def test_external_traffic_policy_local() -> None:
    found = judge(externalTrafficPolicy="Local")
    for address, port in EXTERNALS:
        assert found("outsider", address, port) == Verdict("translated", LOCAL, False)
        assert found("pod", address, port) == Verdict("translated", ALL, False)
        assert found("node", address, port) == Verdict("translated", ALL, True)
    assert found("outsider", CLUSTER_IP) == Verdict("translated", ALL, True), "not of the cluster IP"
    found = judge((at(THERE, "node-b"),), externalTrafficPolicy="Local")
    for address, port in EXTERNALS:
        assert found("outsider", address, port) == DROPPED
        assert found("pod", address, port).to == {f"{THERE}:8080"}


def test_external_traffic_policy_cluster() -> None:
    for policy in ("Cluster", None):
        found = judge(externalTrafficPolicy=policy)
        for address, port in EXTERNALS:
            assert {found(source, address, port) for source in CLASSES} == {Verdict("translated", ALL, True)}


def test_internal_traffic_policy_local() -> None:
    found = judge(internalTrafficPolicy="Local")
    assert found("pod", CLUSTER_IP) == Verdict("translated", LOCAL, False)
    assert found("outsider", CLUSTER_IP) == Verdict("translated", LOCAL, True)
    for address, port in EXTERNALS:
        assert found("outsider", address, port).to == ALL
    found = judge((at(THERE, "node-b"),), internalTrafficPolicy="Local")
    assert {found(source, CLUSTER_IP) for source in CLASSES} == {DROPPED}
    assert found("outsider", EXTERNAL).to == {f"{THERE}:8080"}


@pytest.mark.parametrize("spec", [{}, {"externalTrafficPolicy": "Local"}, {"internalTrafficPolicy": "Local"}])
def test_no_usable_endpoint(spec: dict[str, Any]) -> None:
    for endpoints in ((), (at(HERE, NODE_NAME, ready=False),)):
        assert set(everywhere(judge(endpoints, **spec)).values()) == {REJECTED}


def test_terminating_endpoints() -> None:
    """One node drains: the cluster-wide set still has a ready one, the local one falls back to what is terminating."""
    draining = at(HERE, NODE_NAME, ready=False, serving=True, terminating=True)
    found = judge((draining, at(THERE, "node-b")), externalTrafficPolicy="Local")
    assert found("pod", EXTERNAL).to == {f"{THERE}:8080"}
    assert found("outsider", EXTERNAL).to == LOCAL
    assert judge((draining,))("pod", CLUSTER_IP).to == LOCAL
    dead = at(HERE, NODE_NAME, ready=False, serving=False, terminating=True)
    assert judge((dead,))("pod", CLUSTER_IP) == REJECTED
    unready = at(HERE, NODE_NAME, ready=False, serving=True)
    assert judge((unready,))("pod", CLUSTER_IP) == REJECTED, "serving counts of terminating ones only"


def hinted(address: str, node: str, zones: tuple[str, ...] = (), nodes: tuple[str, ...] = ()) -> dict[str, Any]:
    hints: dict[str, Any] = {"forZones": [{"name": name} for name in zones]}
    if nodes:
        hints["forNodes"] = [{"name": name} for name in nodes]
    return at(address, node, hints=hints)


@pytest.mark.parametrize(
    ("endpoints", "chosen"),
    [
        ((hinted(HERE, NODE_NAME, ("a",)), hinted(THERE, "node-b", ("b",))), {HERE}),
        ((hinted(HERE, NODE_NAME, ("b",)), hinted(THERE, "node-b", ("a",))), {THERE}),
        ((hinted(HERE, NODE_NAME, ("c",)), hinted(THERE, "node-b", ("b",))), {HERE, THERE}),
        ((hinted(HERE, NODE_NAME, ("a",)), at(THERE, "node-b")), {HERE, THERE}),
        ((hinted(HERE, NODE_NAME, ("b",), (NODE_NAME,)), hinted(THERE, "node-b", ("a",), ("node-b",))), {HERE}),
        ((hinted(HERE, NODE_NAME, ("b",), ("node-c",)), hinted(THERE, "node-b", ("a",), ("node-b",))), {THERE}),
        ((hinted(HERE, NODE_NAME, ("b",), (NODE_NAME,)), hinted(THERE, "node-b", ("a",))), {THERE}),
    ],
    ids=[
        "own zone",
        "elsewhere for here",
        "none for here",
        "one without",
        "own node",
        "no node: zones",
        "a node missing: zones",
    ],
)
def test_topology_hints(endpoints: tuple[dict[str, Any], ...], chosen: set[str]) -> None:
    node = node_value(NODE_NAME, NODE_IP, "10.1.0.0/16")
    node["metadata"]["labels"] = {"topology.kubernetes.io/zone": "a"}
    values = [node, whole_service(externalTrafficPolicy="Local"), slice_value(endpoints=endpoints)]
    found = Judge(derive(values))
    assert found("pod", CLUSTER_IP).to == {f"{address}:8080" for address in chosen}
    assert found("outsider", EXTERNAL).to == LOCAL, "local sets ignore hints"


def test_publish_not_ready_addresses() -> None:
    """The API server has put it into the conditions; the field of the Service itself says nothing."""
    not_ready = (at(HERE, NODE_NAME, ready=False),)
    assert judge(not_ready, publishNotReadyAddresses=True)("pod", CLUSTER_IP) == REJECTED
    assert judge((at(HERE, NODE_NAME, ready=True, serving=False),))("pod", CLUSTER_IP).to == LOCAL


def test_cluster_ip_from_outside_and_from_the_node_is_masqueraded() -> None:
    found = judge()
    assert [found(source, CLUSTER_IP).masqueraded for source in CLASSES] == [True, False, True]
    everything = judge(settings=Settings(NODE_NAME, masquerade_all=True))
    assert {verdict.masqueraded for verdict in everywhere(everything).values()} == {True}
    values = [NODE, node_value("node-b", "192.0.2.11", "10.2.0.0/16")]
    found = Judge(derive(values, Settings(NODE_NAME, cluster_cidrs=(parse_prefix("10.240.0.0/12"),))))
    classes = {"10.240.0.9": "pod", "192.0.2.10": "node", "192.0.2.11": "outsider", "203.0.113.9": "outsider"}
    assert {address: found.source_class(address) for address in classes} == classes


def live(derivation: Derivation) -> set[tuple[str, int]]:
    from controlplane.addresses import format_address
    from controlplane.desired.entities import Exact
    from controlplane.desired.symbols import EndpointId

    found = set()
    for entry in entries_of(derivation.ledger, "live_endpoint_table"):
        (field,) = entry.match
        assert isinstance(field, Exact) and isinstance(field.value, EndpointId)
        found.add((format_address(field.value.address), field.value.service.protocol))
    return found


def test_stale_udp_connections() -> None:
    """Liveness is a table of the serving endpoints: of UDP alone, also at zero usable ones, and none without the Service."""
    ports = [{"name": name, "port": 53, "protocol": name.upper()} for name in ("tcp", "udp", "sctp")]
    given = [
        endpoint("10.1.0.1", True),
        endpoint("10.1.0.2", False, True, True),
        endpoint("10.1.0.3", False, False, True),
    ]
    derivation = derive([service_value(ports=ports), slice_value(endpoints=given, ports=ports)])
    assert live(derivation) == {("10.1.0.1", 17), ("10.1.0.2", 17)}
    derivation = derive([service_value(ports=ports), slice_value(endpoints=given[1:], ports=ports)])
    assert live(derivation) == {("10.1.0.2", 17)}
    assert live(derive([slice_value(endpoints=given, ports=ports)])) == set()


def test_sctp() -> None:
    port = [{"port": 80, "protocol": "SCTP"}]
    found = Judge(derive([service_value(ports=port), slice_value(ports=[{"port": 9, "protocol": "SCTP"}])]))
    assert found("pod", CLUSTER_IP, 80, "SCTP").to == {"10.1.0.1:9"}
    assert found("pod", CLUSTER_IP) == REJECTED


def test_dual_stack() -> None:
    six = "fd00::10"
    value = service_value(ips=[CLUSTER_IP, six])
    v6 = slice_value(endpoints=["fd01::1"], address_type="IPv6")
    for values, four_to, six_to in (
        ([slice_value()], {"10.1.0.1:8080"}, None),
        ([v6], None, {"[fd01::1]:8080"}),
        ([slice_value(), v6], {"10.1.0.1:8080"}, {"[fd01::1]:8080"}),
    ):
        found = Judge(derive([value, *values]))
        for address, to in ((CLUSTER_IP, four_to), (six, six_to)):
            assert found("pod", address) == (REJECTED if to is None else Verdict("translated", frozenset(to)))


def test_service_proxy_name() -> None:
    labels = {"service.kubernetes.io/service-proxy-name": "other"}
    derivation = derive([NODE, service_value(labels=labels), slice_value()])
    assert Judge(derivation)("pod", CLUSTER_IP) == PASSES
    mine = typed(service_value(labels={"service.kubernetes.io/other": "x"}))
    from controlplane.kube.objects import reference

    derivation.apply(reference(mine), mine)
    derivation.settle()
    assert Judge(derivation)("pod", CLUSTER_IP).what == "translated"


@pytest.mark.parametrize("text", ["010.096.0.10", "10.96.0.010", "10.96.0.x", "10.96.0.10/32", ""])
def test_odd_addresses(text: str) -> None:
    """Refused by name, and the rest of the object and every other one is there."""
    value = whole_service()
    value["spec"]["externalIPs"] = [text, "::ffff:198.51.100.2"]
    other = service_value("other", [" 10.96.0.11 "])
    endpoints = (*BOTH, at(text, "node-c"))
    derivation = derive([NODE, value, slice_value(endpoints=endpoints), other, slice_value("other")])
    found = Judge(derivation)
    assert found("outsider", EXTERNAL).to == found("pod", CLUSTER_IP).to == ALL
    assert found("pod", "10.96.0.11").what == "translated"
    assert {str(problem.ref) for problem in derivation.problems} == {"Service/shop/web"}
    messages = sorted(problem.message for problem in derivation.problems)
    assert len(messages) == 2 and all(repr(text) in message for message in messages)
    assert messages[0].startswith("EndpointSlice web-ipv4: ") and messages[1].startswith("spec.externalIPs: ")
