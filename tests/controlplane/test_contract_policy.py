"""NetworkPolicy: the rows of what Kubernetes requires (`tests/controlplane/contract.py`) that `test_policy` does not go through."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.desired.symbols import IDENTITY_LOCAL_NODE, POLICY_NONE
from tests.controlplane.cluster import NODE_NAME, derive, entries_of, node_value, pod_value, policy_value
from tests.controlplane.judge import allows, identity_of, policy_of
from tests.controlplane.test_policy import DB, ICMP, OTHER, OUTSIDE, PODS, SCTP, TCP, UDP, WEB, WEB_ONLY, ingress


def test_an_empty_selector_selects_all_of_its_namespace_and_no_other() -> None:
    derivation = derive([*PODS, policy_value(podSelector={})])
    assert POLICY_NONE not in (policy_of(derivation, "ingress", WEB), policy_of(derivation, "ingress", DB))
    assert policy_of(derivation, "ingress", OTHER) == POLICY_NONE


@pytest.mark.parametrize(
    ("rules", "is_open"), [([], False), ([{}], True), ([{"from": [], "ports": []}], True), (None, False)]
)
def test_no_rules_deny_and_an_empty_rule_allows_all(rules: list[dict[str, Any]] | None, is_open: bool) -> None:
    spec: dict[str, Any] = {} if rules is None else {"ingress": rules}
    derivation = derive([*PODS, policy_value(podSelector={"matchLabels": {"app": "db"}}, **spec)])
    assert policy_of(derivation, "ingress", DB) != POLICY_NONE
    for source, protocol in ((WEB, TCP), (OTHER, UDP), (OUTSIDE, SCTP), (OUTSIDE, ICMP)):
        assert allows(derivation, source, DB, protocol, 0 if protocol == ICMP else 7) is is_open


def test_a_policy_of_one_type_does_not_isolate_in_the_other() -> None:
    derivation = derive([*PODS, policy_value(policyTypes=["Ingress"], egress=[{}])])
    assert policy_of(derivation, "egress", DB) == POLICY_NONE
    derivation = derive([*PODS, policy_value(policyTypes=["Egress"], ingress=[{}])])
    assert policy_of(derivation, "ingress", DB) == POLICY_NONE


def test_an_sctp_rule_isolates_and_admits_no_tcp() -> None:
    derivation = derive([*PODS, ingress({"ports": [{"protocol": "SCTP", "port": 80}]})])
    assert allows(derivation, WEB, DB, SCTP, 80)
    for protocol in (TCP, UDP):
        assert not allows(derivation, WEB, DB, protocol, 80)


def test_a_protocol_without_a_port_is_all_of_its_ports_and_no_protocol_is_tcp() -> None:
    derivation = derive([*PODS, ingress({"ports": [{"protocol": "UDP"}, {"port": 80}]})])
    assert all(allows(derivation, WEB, DB, UDP, port) for port in (1, 53, 65535))
    assert allows(derivation, WEB, DB, TCP, 80)
    assert not allows(derivation, WEB, DB, TCP, 53)


@pytest.mark.parametrize("port", [{"port": "sql", "endPort": 6000}, {"port": 90, "endPort": 80}, {"endPort": 80}])
def test_an_end_port_that_makes_no_sense_fails_closed(port: dict[str, Any]) -> None:
    derivation = derive([*PODS, ingress({"ports": [port]}), ingress({"ports": [{"port": 1}]}, name="other")])
    assert not allows(derivation, WEB, DB, TCP, 5432) and not allows(derivation, WEB, DB, TCP, 85)
    assert allows(derivation, WEB, DB, TCP, 1), "what another policy allows stays allowed"
    (problem,) = derivation.problems
    assert str(problem.ref) == "NetworkPolicy/shop/policy"
    assert "endPort" in problem.message or "range" in problem.message


def test_a_named_port_is_the_destinations_and_of_its_protocol() -> None:
    both = pod_value(
        "both", "10.1.0.9", {"app": "db"}, port=9,
        ports=[{"name": "sql", "containerPort": 3306}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}],
    )  # fmt: skip
    derivation = derive([*PODS, both, ingress({"ports": [{"port": "sql"}, {"port": "dns"}]})])
    assert allows(derivation, WEB, DB, TCP, 5432) and allows(derivation, WEB, "10.1.0.9", TCP, 3306)
    for address, protocol, port in (
        (DB, TCP, 3306), ("10.1.0.9", TCP, 5432), ("10.1.0.9", TCP, 53), ("10.1.0.9", UDP, 53), (DB, TCP, 53)
    ):  # fmt: skip
        assert not allows(derivation, WEB, address, protocol, port), "dns is UDP there, and TCP is what the rule says"


def test_a_pods_own_node_is_never_blocked() -> None:
    closed = policy_value(podSelector={}, policyTypes=["Ingress", "Egress"])
    derivation = derive([*PODS, node_value(NODE_NAME, "192.0.2.10", "10.1.0.0/16"), closed])
    assert identity_of(derivation, "source", "192.0.2.10") == IDENTITY_LOCAL_NODE
    assert allows(derivation, "192.0.2.10", DB, TCP, 1) and allows(derivation, DB, "192.0.2.10", UDP, 53)
    derivation = derive([*PODS, node_value("node-b", "192.0.2.11", "10.2.0.0/16"), closed])
    assert not allows(derivation, "192.0.2.11", DB, TCP, 1), "another node is not its own"


def test_host_network_pods_are_the_nodes_address() -> None:
    host = pod_value("host", "192.0.2.11", {"app": "web"}, hostNetwork=True, node="node-b")
    by_label, by_address = ingress({"from": [WEB_ONLY]}), ingress({"from": [{"ipBlock": {"cidr": "192.0.2.11/32"}}]})
    assert not allows(derive([*PODS, host, by_label]), "192.0.2.11", DB, TCP, 1)
    assert allows(derive([*PODS, host, by_address]), "192.0.2.11", DB, TCP, 1)
    everyone = derive([*PODS, host, policy_value(podSelector={})])
    places = {entry.match[0].value for entry in entries_of(everyone.ledger, "destination_pod_table")}  # type: ignore[union-attr]
    assert len(places) == 3, "and have no place as a pod"


def test_echo_follows_the_isolation_of_the_pod() -> None:
    assert allows(derive(PODS), WEB, DB, ICMP, 0)
    assert not allows(derive([*PODS, ingress({"ports": [{"port": 80}]})]), WEB, DB, ICMP, 0)
    assert allows(derive([*PODS, ingress({"from": [WEB_ONLY]})]), WEB, DB, ICMP, 0)
