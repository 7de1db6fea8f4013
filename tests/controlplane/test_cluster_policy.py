"""ClusterNetworkPolicy: tiers, priorities, Accept, Deny and Pass, against a plain reading of the rules; and what is wrong fails closed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.desired.derive import Derivation
from controlplane.desired.symbols import POLICY_NONE
from tests.controlplane.cluster import (
    cluster_policy_value,
    derive,
    namespace_value,
    node_value,
    pod_value,
    policy_value,
    typed,
)
from tests.controlplane.judge import allows, policy_of

TCP, UDP, ICMP = 6, 17, 1
WEB, DB, OTHER, OUTSIDE = "10.1.0.1", "10.1.0.2", "10.2.0.1", "192.0.2.7"
PODS: list[dict[str, Any]] = [
    namespace_value("shop", {"team": "a"}),
    namespace_value("lab", {"team": "b"}),
    pod_value("web", WEB, {"app": "web"}, port=1),
    pod_value("db", DB, {"app": "db"}, port=2, ports=[{"name": "sql", "containerPort": 5432}]),
    pod_value("other", OTHER, {"app": "web"}, namespace="lab", port=3),
]
ALL: dict[str, Any] = {"namespaces": {}}
LAB: dict[str, Any] = {"namespaces": {"matchLabels": {"team": "b"}}}
DB_ONLY: dict[str, Any] = {"pods": {"podSelector": {"matchLabels": {"app": "db"}}}}
SQL = [{"tcp": {"destinationPort": {"number": 5432}}}]


def rule(
    action: str, peer: dict[str, Any] = ALL, protocols: list[dict[str, Any]] | None = None, field: str = "from"
) -> Any:
    return {"action": action, field: [peer], **({"protocols": protocols} if protocols else {})}


def np_allowing(port: int) -> dict[str, Any]:
    return policy_value(podSelector={"matchLabels": {"app": "db"}}, ingress=[{"ports": [{"port": port}]}])


def test_admin_denies_what_a_network_policy_allows_and_accepts_what_it_denies() -> None:
    deny = cluster_policy_value(ingress=[rule("Deny", LAB)])
    derivation = derive([*PODS, np_allowing(5432), deny])
    assert allows(derivation, WEB, DB, TCP, 5432) and not allows(derivation, OTHER, DB, TCP, 5432)
    accept = cluster_policy_value(ingress=[rule("Accept", LAB, SQL)])
    derivation = derive([*PODS, np_allowing(1), accept])
    assert allows(derivation, OTHER, DB, TCP, 5432) and not allows(derivation, WEB, DB, TCP, 5432)
    assert allows(derivation, WEB, DB, TCP, 1)


def test_lower_priority_numbers_and_earlier_rules_come_first() -> None:
    first = cluster_policy_value("z", priority=0, ingress=[rule("Accept", LAB)])
    second = cluster_policy_value("a", priority=1, ingress=[rule("Deny", ALL)])
    derivation = derive([*PODS, first, second])
    assert allows(derivation, OTHER, DB, TCP, 80) and not allows(derivation, WEB, DB, TCP, 80)
    derivation = derive([*PODS, cluster_policy_value(ingress=[rule("Deny", ALL), rule("Accept", LAB)])])
    assert not allows(derivation, OTHER, DB, TCP, 80)


def test_pass_goes_to_the_network_policies_past_the_rest_of_the_tier() -> None:
    passing = cluster_policy_value(ingress=[rule("Pass", LAB), rule("Deny", ALL)])
    derivation = derive([*PODS, passing])
    assert allows(derivation, OTHER, DB, TCP, 80), "nothing isolates it"
    assert not allows(derivation, WEB, DB, TCP, 80)
    derivation = derive([*PODS, passing, np_allowing(1)])
    assert allows(derivation, OTHER, DB, TCP, 1) and not allows(derivation, OTHER, DB, TCP, 80)
    assert not allows(derivation, WEB, DB, TCP, 1), "the Admin tier has decided"


def test_baseline_counts_only_where_no_network_policy_selects() -> None:
    baseline = cluster_policy_value("base", "Baseline", ingress=[rule("Pass", LAB), rule("Deny", ALL)])
    derivation = derive([*PODS, baseline])
    assert allows(derivation, OTHER, WEB, TCP, 80) and not allows(derivation, DB, WEB, TCP, 80)
    derivation = derive([*PODS, baseline, np_allowing(80)])
    assert allows(derivation, WEB, DB, TCP, 80) and not allows(derivation, OTHER, DB, TCP, 81)
    admin = cluster_policy_value(ingress=[rule("Pass", DB_ONLY), rule("Accept", ALL)])
    derivation = derive([*PODS, baseline, admin])
    assert not allows(derivation, DB, WEB, TCP, 80), "passed on to the Baseline tier"
    assert allows(derivation, WEB, OTHER, TCP, 80)


def test_egress_networks_nodes_and_named_ports() -> None:
    node = {**node_value("far", "192.0.2.7"), "metadata": {"name": "far", "labels": {"role": "gateway"}}}
    for peer in ({"networks": ["192.0.2.0/24"]}, {"nodes": {"matchLabels": {"role": "gateway"}}}):
        derivation = derive([*PODS, node, cluster_policy_value(egress=[rule("Deny", peer, None, "to")])])
        assert not allows(derivation, WEB, OUTSIDE, TCP, 80) and allows(derivation, WEB, DB, TCP, 80)
        assert allows(derivation, WEB, "192.0.3.1", TCP, 80)
        derivation.apply(*_gone(node))
        derivation.settle()
        assert allows(derivation, WEB, OUTSIDE, TCP, 80) == ("nodes" in peer)
    named = [{"destinationNamedPort": "sql"}]
    for direction, field in (("egress", "to"), ("ingress", "from")):
        spec: dict[str, Any] = {direction: [rule("Deny", ALL, named, field)]}
        derivation = derive([*PODS, cluster_policy_value(**spec)])
        assert not allows(derivation, WEB, DB, TCP, 5432) and allows(derivation, WEB, DB, TCP, 80)
        assert allows(derivation, WEB, OTHER, TCP, 5432)


def _gone(value: dict[str, Any]) -> tuple[Any, None]:
    from controlplane.kube.objects import reference

    return reference(typed(value)), None


def test_an_admin_policy_that_only_passes_changes_nothing() -> None:
    passing = cluster_policy_value(ingress=[rule("Pass", ALL)])
    derivation = derive([*PODS, passing, np_allowing(1)])
    plain = derive([*PODS, np_allowing(1)])
    count = sum(1 for entity in derivation.ledger if "ingress_policy_table" in repr(entity))
    assert count <= sum(1 for entity in plain.ledger if "ingress_policy_table" in repr(entity)) + 2
    assert allows(derivation, WEB, DB, TCP, 1) and not allows(derivation, WEB, DB, TCP, 2)


def test_subjects_follow_the_labels_of_their_namespace() -> None:
    policy = cluster_policy_value(subject={"namespaces": {"matchLabels": {"team": "b"}}}, ingress=[rule("Deny")])
    derivation = derive([*PODS, policy])
    assert policy_of(derivation, "ingress", WEB) == POLICY_NONE
    assert not allows(derivation, WEB, OTHER, TCP, 80)
    relabelled = namespace_value("shop", {"team": "b"})
    derivation.apply(_gone(relabelled)[0], typed(relabelled))
    derivation.settle()
    assert not allows(derivation, OTHER, WEB, TCP, 80)


@pytest.mark.parametrize(
    ("spec", "words", "closed"),
    [
        ({"tier": "Admin", "ingress": [rule("Allow")]}, "spec.ingress[0].action: 'Allow'", True),
        ({"ingress": [rule("Accept", {}), rule("Deny")]}, "spec.ingress[0].from[0]: exactly one kind", True),
        ({"ingress": [rule("Deny", {})]}, "it denies everything", True),
        ({"ingress": [rule("Pass", {"networks": ["10.0.0.0/8"]})]}, "egress rule only", True),
        ({"ingress": [{"action": "Deny", "from": []}]}, "1 to 25 peers are needed, not 0", True),
        ({"ingress": [rule("Deny")] * 26}, "26 rules, and 25 are the most", True),
        ({"priority": 1001, "ingress": [rule("Accept")]}, "spec.priority: 1001", True),
        ({"tier": "NetworkPolicy", "ingress": [rule("Accept")]}, "spec.tier: 'NetworkPolicy'", True),
        ({"ingress": [rule("Deny", ALL, [{"tcp": {}, "udp": {}}])]}, "exactly one of tcp, udp, sctp", True),
        ({"ingress": [rule("Deny", ALL, [{"tcp": {"destinationPort": {"number": 70000}}}])]}, "not a range of ports", True),
        ({"ingress": "x"}, "Expected `array | null`", True),
        ({"subject": {"namespaces": {}, "pods": {"podSelector": {}}}, "ingress": [rule("Deny")]}, "for nobody", False),
        ({"egress": [rule("Deny", {"domainNames": ["x.org"]}, None, "to")]}, "names cannot be matched", False),
        ({"ingress": [rule("Accept", {"namespaces": {"matchExpressions": [{"key": "a", "operator": "x"}]}})]}, "operator 'x'", False),
    ],
)  # fmt: skip
def test_what_is_wrong_fails_closed_for_its_subject_alone(spec: dict[str, Any], words: str, closed: bool) -> None:
    subject = spec.pop("subject", {"pods": {"podSelector": {"matchLabels": {"app": "db"}}}})
    policy = cluster_policy_value(**{"subject": subject, **spec})
    derivation = derive([*PODS, policy])
    texts = [str(problem) for problem in derivation.problems]
    assert any(text.startswith("ClusterNetworkPolicy/cluster-policy: ") and words in text for text in texts), texts
    assert allows(derivation, WEB, DB, TCP, 5432) is not closed
    assert allows(derivation, DB, WEB, TCP, 80) is ("egress" not in spec and spec.get("ingress") != "x")
    assert allows(derivation, OTHER, WEB, TCP, 80), "nobody else is touched"


# -- against a plain reading

peers = st.sampled_from([ALL, LAB, DB_ONLY, {"pods": {"podSelector": {"matchLabels": {"app": "web"}}}}])
protocol_lists: st.SearchStrategy[Any] = st.sampled_from(
    [None, SQL, [{"udp": {}}], [{"tcp": {"destinationPort": {"range": {"start": 5000, "end": 6000}}}}, {"udp": {}}]]
)
rules = st.builds(rule, st.sampled_from(["Accept", "Deny", "Pass"]), peers, protocol_lists)
cluster_policies = st.lists(
    st.tuples(
        st.sampled_from(["Admin", "Baseline"]), st.integers(0, 2), peers, st.lists(rules, min_size=1, max_size=3)
    ),
    max_size=4,
)
network_policies = st.lists(
    st.tuples(
        st.sampled_from([{}, {"matchLabels": {"app": "db"}}]),
        st.lists(st.sampled_from([{}, {"ports": [{"port": 5432}]}, {"from": [{"namespaceSelector": {}}]}]), max_size=2),
    ),
    max_size=2,
)
LABELS = {WEB: ("shop", "a", "web"), DB: ("shop", "a", "db"), OTHER: ("lab", "b", "web")}


def _is(peer: dict[str, Any], address: str) -> bool:
    if address not in LABELS:
        return False
    _, team, app = LABELS[address]
    if "namespaces" in peer:
        wanted = peer["namespaces"].get("matchLabels", {}).get("team")
        return wanted in (None, team)
    return bool(peer["pods"]["podSelector"]["matchLabels"]["app"] == app)


def _speaks_of(item: dict[str, Any], source: str, protocol: int, port: int) -> bool:
    if not any(_is(peer, source) for peer in item["from"]):
        return False
    if "protocols" not in item:
        return True
    for match in item["protocols"]:
        if "udp" in match and protocol == UDP:
            return True
        if "tcp" in match and protocol == TCP:
            ports = match["tcp"]["destinationPort"]
            low, high = (ports["range"]["start"], ports["range"]["end"]) if "range" in ports else (ports["number"],) * 2
            if low <= port <= high:
                return True
    return False


def expected(policies: Any, namespaced: Any, source: str, destination: str, protocol: int, port: int) -> bool:
    """The tiers one after the other, as the API's documentation tells them."""

    def tier(name: str) -> str:
        order = sorted(
            (priority, f"p{number}", items)
            for number, (its_tier, priority, subject, items) in enumerate(policies)
            if its_tier == name and _is(subject, destination)
        )
        for _, _, items in order:
            for item in items:
                if _speaks_of(item, source, protocol, port):
                    return str(item["action"])
        return "Pass"

    decided = tier("Admin")
    if decided != "Pass":
        return decided == "Accept"
    selecting = [
        items for selector, items in namespaced if destination in (WEB, DB) and (not selector or destination == DB)
    ]
    if selecting:
        return any(
            ("ports" not in item or (protocol == TCP and port == 5432)) and ("from" not in item or source in LABELS)
            for items in selecting
            for item in items
        )
    return tier("Baseline") != "Deny"


def build(policies: Any, namespaced: Any) -> Derivation:
    values = [
        cluster_policy_value(f"p{number}", tier, priority, subject, ingress=items)
        for number, (tier, priority, subject, items) in enumerate(policies)
    ]
    values += [
        policy_value(f"n{number}", podSelector=selector, ingress=items)
        for number, (selector, items) in enumerate(namespaced)
    ]
    return derive([*PODS, *values])


@settings(max_examples=150, deadline=None)
@given(cluster_policies, network_policies)
def test_one_look_up_says_what_the_tiers_say_one_after_the_other(policies: Any, namespaced: Any) -> None:
    derivation = build(policies, namespaced)
    assert not derivation.problems
    for source in (WEB, DB, OTHER, OUTSIDE):
        for destination in (WEB, DB, OTHER):
            if source == destination:
                continue
            for protocol, port in ((TCP, 5432), (TCP, 80), (UDP, 5432), (ICMP, 0)):
                wanted = expected(policies, namespaced, source, destination, protocol, port)
                assert allows(derivation, source, destination, protocol, port) == wanted, (
                    source,
                    destination,
                    protocol,
                    port,
                )


def test_the_entries_name_the_policy_whose_rule_they_are() -> None:
    derivation = derive([*PODS, np_allowing(5432), cluster_policy_value("guard", ingress=[rule("Deny", LAB)])])
    owners = {
        str(derivation.ledger.source(entity.key))
        for entity in derivation.ledger
        if "ingress_policy_table" in repr(entity)
    }
    assert owners == {"ClusterNetworkPolicy/guard", "NetworkPolicy/shop/policy"}
