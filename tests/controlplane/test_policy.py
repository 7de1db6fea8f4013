"""NetworkPolicy: the rows of the contract's section 2, judged by asking the derived entries whether a packet may pass."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.addresses import parse_address
from controlplane.desired.derive import Derivation
from controlplane.desired.symbols import POLICY_NONE
from tests.controlplane.cluster import derive, namespace_value, pod_value, policy_value, ref_of, typed
from tests.controlplane.judge import allows, identity_of, policy_of

TCP, UDP, SCTP, ICMP = 6, 17, 132, 1

WEB, DB, OTHER = "10.1.0.1", "10.1.0.2", "10.2.0.1"
OUTSIDE = "192.0.2.7"

PODS = [
    namespace_value("shop", {"team": "a"}),
    namespace_value("lab", {"team": "b"}),
    pod_value("web", WEB, {"app": "web"}, port=1),
    pod_value("db", DB, {"app": "db", "tier": "data"}, port=2, ports=[{"name": "sql", "containerPort": 5432}]),
    pod_value("other", OTHER, {"app": "web"}, namespace="lab", port=3),
]

WEB_ONLY = {"podSelector": {"matchLabels": {"app": "web"}}}


def ingress(*rules: dict[str, Any], selector: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return policy_value(podSelector=selector or {"matchLabels": {"app": "db"}}, ingress=list(rules), **more)


def test_nobody_is_isolated_without_a_policy() -> None:
    derivation = derive(PODS)
    assert allows(derivation, WEB, DB, TCP, 5432) and allows(derivation, OUTSIDE, DB, UDP, 1)
    assert policy_of(derivation, "ingress", DB) == POLICY_NONE


def test_isolation_is_by_direction() -> None:
    derivation = derive([*PODS, ingress()])
    assert not allows(derivation, WEB, DB, TCP, 5432)
    assert allows(derivation, DB, WEB, TCP, 80)
    derivation = derive([*PODS, policy_value(policyTypes=["Egress"])])
    assert not allows(derivation, WEB, DB, TCP, 5432)
    assert policy_of(derivation, "ingress", DB) == POLICY_NONE


def test_default_types() -> None:
    only_ingress = derive([*PODS, policy_value()])
    assert policy_of(only_ingress, "ingress", DB) != POLICY_NONE
    assert policy_of(only_ingress, "egress", DB) == POLICY_NONE
    both = derive([*PODS, policy_value(egress=[{}])])
    assert policy_of(both, "ingress", DB) != POLICY_NONE
    assert policy_of(both, "egress", DB) != POLICY_NONE
    assert policy_of(derive([*PODS, policy_value(egress=[])]), "egress", DB) == POLICY_NONE


def test_policies_add_up() -> None:
    first = ingress({"from": [WEB_ONLY], "ports": [{"port": 1}]})
    second = policy_value("second", podSelector={"matchLabels": {"app": "db"}}, ingress=[{"ports": [{"port": 2}]}])
    derivation = derive([*PODS, first, second])
    assert allows(derivation, WEB, DB, TCP, 1) and allows(derivation, OTHER, DB, TCP, 2)
    assert not allows(derivation, OTHER, DB, TCP, 1)


def test_both_sides_must_allow() -> None:
    deny_out = policy_value("out", podSelector={"matchLabels": {"app": "web"}}, policyTypes=["Egress"])
    derivation = derive([*PODS, ingress({}), deny_out])
    assert not allows(derivation, WEB, DB, TCP, 80)
    assert allows(derivation, OTHER, DB, TCP, 80)


@pytest.mark.parametrize(
    ("peers", "web", "other"),
    [
        ([WEB_ONLY], True, False),
        ([{"namespaceSelector": {"matchLabels": {"team": "b"}}}], False, True),
        ([{"namespaceSelector": {}}], True, True),
        ([{"namespaceSelector": {"matchLabels": {"team": "b"}}, **WEB_ONLY}], False, True),
        (
            [{"namespaceSelector": {"matchLabels": {"team": "b"}}, "podSelector": {"matchLabels": {"app": "x"}}}],
            False,
            False,
        ),
        ([WEB_ONLY, {"namespaceSelector": {"matchLabels": {"team": "b"}}}], True, True),
        ([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "lab"}}}], False, True),
        ([{"podSelector": {}}], True, False),
        (
            [{"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "x"]}]}}],
            True,
            False,
        ),
        (
            [{"podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}}],
            False,
            False,
        ),
        ([{"podSelector": {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}}], True, False),
        ([{"podSelector": {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}}], False, False),
        ([], True, True),
        (None, True, True),
    ],
)
def test_peers(peers: list[Any] | None, web: bool, other: bool) -> None:
    rule = {} if peers is None else {"from": peers}
    derivation = derive([*PODS, ingress(rule)])
    assert not derivation.problems
    assert allows(derivation, WEB, DB, TCP, 5432) is web
    assert allows(derivation, OTHER, DB, TCP, 5432) is other
    assert allows(derivation, OUTSIDE, DB, TCP, 5432) is (not peers)


def test_ip_block_with_holes_and_another_rule_that_fills_one() -> None:
    block = {"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.0/28"]}}
    derivation = derive([*PODS, ingress({"from": [block]})])
    assert not allows(derivation, "192.0.2.7", DB, TCP, 1)
    assert allows(derivation, "192.0.2.77", DB, TCP, 1)
    assert not allows(derivation, "198.51.100.1", DB, TCP, 1)
    refill = policy_value(
        "refill",
        podSelector={"matchLabels": {"app": "db"}},
        ingress=[{"from": [{"ipBlock": {"cidr": "192.0.2.7/32"}}]}],
    )
    derivation = derive([*PODS, ingress({"from": [block]}), refill])
    assert allows(derivation, "192.0.2.7", DB, TCP, 1)
    assert not allows(derivation, "192.0.2.8", DB, TCP, 1)


def test_ip_block_holds_pods_too() -> None:
    block = {"ipBlock": {"cidr": "10.0.0.0/8", "except": [f"{OTHER}/32"]}}
    derivation = derive([*PODS, ingress({"from": [block]})])
    assert allows(derivation, WEB, DB, TCP, 1)
    assert not allows(derivation, OTHER, DB, TCP, 1)
    assert allows(derivation, "10.9.9.9", DB, TCP, 1)


def test_an_ip_block_of_one_family_says_nothing_of_the_other() -> None:
    derivation = derive([*PODS, ingress({"from": [{"ipBlock": {"cidr": "::/0"}}]})])
    assert allows(derivation, "2001:db8::1", DB, TCP, 1)
    # IPv4 is held as IPv4-mapped, which must not make ::/0 hold it.
    assert not allows(derivation, OUTSIDE, DB, TCP, 1)
    derivation = derive([*PODS, ingress({"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]})])
    assert allows(derivation, OUTSIDE, DB, TCP, 1) and allows(derivation, WEB, DB, TCP, 1)
    assert not allows(derivation, "2001:db8::1", DB, TCP, 1)


@pytest.mark.parametrize(
    ("ports", "allowed", "denied"),
    [
        ([{"port": 80}], [(TCP, 80)], [(TCP, 81), (UDP, 80)]),
        ([{"protocol": "UDP"}], [(UDP, 1), (UDP, 65535)], [(TCP, 1), (ICMP, 0)]),
        ([{}], [(TCP, 1)], [(UDP, 1)]),
        ([{"port": 80, "endPort": 90}], [(TCP, 80), (TCP, 90)], [(TCP, 79), (TCP, 91)]),
        ([{"port": "sql"}], [(TCP, 5432)], [(TCP, 80)]),
        ([{"port": "sql", "protocol": "UDP"}], [], [(UDP, 5432), (TCP, 5432)]),
        ([{"port": "unheard-of"}], [], [(TCP, 5432), (TCP, 1)]),
        ([{"port": 80, "protocol": "SCTP"}], [(SCTP, 80)], [(TCP, 80)]),
        (None, [(TCP, 1), (UDP, 2), (ICMP, 0)], []),
        ([], [(TCP, 1), (UDP, 2), (ICMP, 0)], []),
    ],
)
def test_ports(ports: list[Any] | None, allowed: list[tuple[int, int]], denied: list[tuple[int, int]]) -> None:
    rule = {} if ports is None else {"ports": ports}
    derivation = derive([*PODS, ingress({**rule, "from": [WEB_ONLY]})])
    for protocol, port in allowed:
        assert allows(derivation, WEB, DB, protocol, port), (protocol, port)
    for protocol, port in denied:
        assert not allows(derivation, WEB, DB, protocol, port), (protocol, port)


def test_named_ports_of_egress_are_each_destination_pods_own() -> None:
    out = policy_value(
        podSelector={"matchLabels": {"app": "web"}},
        policyTypes=["Egress"],
        egress=[{"to": [{"podSelector": {}}], "ports": [{"port": "sql"}]}],
    )
    second = pod_value("db2", "10.1.0.9", {"app": "db"}, port=9, ports=[{"name": "sql", "containerPort": 3306}])
    derivation = derive([*PODS, second, out])
    assert allows(derivation, WEB, DB, TCP, 5432) and allows(derivation, WEB, "10.1.0.9", TCP, 3306)
    assert not allows(derivation, WEB, DB, TCP, 3306) and not allows(derivation, WEB, "10.1.0.9", TCP, 5432)
    anybody = policy_value(
        podSelector={"matchLabels": {"app": "web"}}, policyTypes=["Egress"], egress=[{"ports": [{"port": "sql"}]}]
    )
    derivation = derive([*PODS, second, anybody])
    assert allows(derivation, WEB, DB, TCP, 5432) and not allows(derivation, WEB, OUTSIDE, TCP, 5432)


BAD: list[dict[str, Any]] = [
    {"ingress": [{"ports": [{"port": 90, "endPort": 80}]}]},
    {"ingress": [{"ports": [{"port": "sql", "endPort": 80}]}]},
    {"ingress": [{"ports": [{"endPort": 80}]}]},
    {"ingress": [{"ports": [{"port": 0}]}]},
    {"ingress": [{"ports": [{"port": 1, "protocol": "ICMP"}]}]},
    {"ingress": [{"from": [{}]}]},
    {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/33"}}]}]},
    {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}]}]},
    {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}]},
    {
        "ingress": [
            {"from": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "Near", "values": ["b"]}]}}]}
        ]
    },
    {"ingress": [{"from": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}]}]},
    {"ingress": "everything"},
    {"ingress": [{"ports": [{"port": [1]}]}]},
]


@pytest.mark.parametrize("spec", BAD)
def test_a_malformed_policy_closes_what_it_selects_and_nothing_else(spec: dict[str, Any]) -> None:
    selector = {"matchLabels": {"app": "db"}}
    good = policy_value("good", podSelector={"matchLabels": {"app": "web"}}, ingress=[{"ports": [{"port": 80}]}])
    bad = policy_value("bad", podSelector=selector, **spec)
    derivation = derive([*PODS, good, bad])
    assert not allows(derivation, WEB, DB, TCP, 5432)
    assert allows(derivation, DB, WEB, TCP, 80) and not allows(derivation, DB, WEB, TCP, 81)
    assert allows(derivation, DB, OTHER, TCP, 1)
    assert {str(problem.ref) for problem in derivation.problems} == {"NetworkPolicy/shop/bad"}


def test_a_malformed_policy_takes_nothing_from_what_others_allow() -> None:
    other = ingress({"from": [WEB_ONLY]})
    derivation = derive([*PODS, other, policy_value("bad", ingress=[{"from": [{}]}])])
    assert allows(derivation, WEB, DB, TCP, 1) and not allows(derivation, OTHER, DB, TCP, 1)


def test_pods_with_the_same_rules_share_a_policy_and_a_changed_rule_makes_another() -> None:
    twin = pod_value("db-2", "10.1.0.3", {"app": "db", "tier": "more"}, port=4)
    policy = ingress({"ports": [{"port": 5432}]})
    derivation = derive([*PODS, twin, policy])
    before = policy_of(derivation, "ingress", DB)
    assert before == policy_of(derivation, "ingress", "10.1.0.3")
    changed = ingress({"ports": [{"port": 5433}]})
    derivation.apply(ref_of(changed), typed(changed))
    derivation.settle()
    after = policy_of(derivation, "ingress", DB)
    assert after != before and after == policy_of(derivation, "ingress", "10.1.0.3")
    assert allows(derivation, WEB, DB, TCP, 5433) and not allows(derivation, WEB, DB, TCP, 5432)


def test_pods_with_the_same_labels_share_an_identity() -> None:
    twin = pod_value("web-2", "10.1.0.5", {"app": "web"}, port=5)
    derivation = derive([*PODS, twin])
    assert identity_of(derivation, "source", WEB) == identity_of(derivation, "source", "10.1.0.5")
    assert identity_of(derivation, "source", WEB) != identity_of(derivation, "source", OTHER)


def test_host_network_and_finished_pods_have_no_identity() -> None:
    host = pod_value("host", "172.18.0.2", {"app": "web"}, hostNetwork=True)
    done = pod_value("done", "10.1.0.77", {"app": "web"}, port=7)
    done["status"]["phase"] = "Succeeded"
    derivation = derive([*PODS, host, done, ingress({"from": [WEB_ONLY]})])
    assert not allows(derivation, "172.18.0.2", DB, TCP, 1)
    assert not allows(derivation, "10.1.0.77", DB, TCP, 1)
    assert identity_of(derivation, "source", "10.1.0.77") == 0


def test_relabelled_namespaces_and_pods_are_followed() -> None:
    policy = ingress({"from": [{"namespaceSelector": {"matchLabels": {"team": "b"}}}]})
    derivation: Derivation = derive([*PODS, policy])
    assert allows(derivation, OTHER, DB, TCP, 1)
    for value, open_ in ((namespace_value("lab", {"team": "c"}), False), (namespace_value("lab", {"team": "b"}), True)):
        derivation.apply(ref_of(value), typed(value))
        derivation.settle()
        assert allows(derivation, OTHER, DB, TCP, 1) is open_
    derivation.apply(ref_of(policy), None)
    derivation.settle()
    assert allows(derivation, WEB, DB, TCP, 1)
    assert policy_of(derivation, "ingress", DB) == POLICY_NONE
    assert parse_address(DB)
