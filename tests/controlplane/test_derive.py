"""Deriving by steps equals deriving from scratch, and costs what the change costs."""

from __future__ import annotations

import gc
import sys
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.attachments import Attachments, PodAttachment, parse_attachments
from controlplane.desired.derive import Derivation
from controlplane.desired.entities import Entity
from controlplane.desired.health_checks import HealthCheck
from controlplane.desired.inputs import Settings
from controlplane.desired.services import SERVICE
from controlplane.kube.objects import KubeObject, ObjectRef, reference
from tests.controlplane.cluster import (
    NODE_NAME,
    cluster_policy_value,
    derive,
    endpoint,
    entries_of,
    namespace_value,
    node_value,
    pod_value,
    policy_value,
    service_cidr_value,
    service_value,
    slice_value,
    typed,
)

ATTACHMENTS = parse_attachments(
    """
node: {port: 500, mac: "02:00:00:00:01:00"}
uplinks:
  - port: 501
    mac: "02:00:00:00:02:00"
    neighbors: {192.0.2.2: "02:00:00:00:02:02", 192.0.2.3: "02:00:00:00:02:03"}
routes:
  - {to: 0.0.0.0/0, via: 192.0.2.2}
""",
    "ports.yaml",
)

labels = st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(["a", "b", "c"]), max_size=2)
selectors: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    labels.map(lambda found: {"matchLabels": found}),
    st.sampled_from(["In", "NotIn"]).map(
        lambda operator: {"matchExpressions": [{"key": "app", "operator": operator, "values": ["a", "b"]}]}
    ),
    st.just({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}),
)
blocks = st.sampled_from(["10.0.0.0/8", "10.1.0.0/16", "10.1.0.1/32", "0.0.0.0/0", "::/0", "fd00::/8", "bad"])
peers = st.one_of(
    selectors.map(lambda found: {"podSelector": found}),
    selectors.map(lambda found: {"namespaceSelector": found}),
    st.tuples(selectors, selectors).map(lambda found: {"podSelector": found[0], "namespaceSelector": found[1]}),
    blocks.map(lambda found: {"ipBlock": {"cidr": found}}),
    st.just({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}),
    st.just({}),
)
ports = st.sampled_from([{"port": 80}, {"port": "http"}, {"port": 80, "endPort": 90}, {"protocol": "UDP"}, {"port": 0}])


def rules(direction: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    rule = st.fixed_dictionaries(
        {}, optional={direction: st.lists(peers, max_size=2), "ports": st.lists(ports, max_size=2)}
    )
    return st.lists(rule, max_size=2)


def any_service(
    name: str, ips: list[str], ports_: list[dict[str, Any]], balancer: str | None, spec: dict[str, Any]
) -> dict[str, Any]:
    value = service_value(name, ips, ports_, **spec)
    if balancer is not None:
        value["status"] = {"loadBalancer": {"ingress": [{"ip": balancer}]}}
    return value


def any_endpoint(
    address: str, ready: bool | None, serving: bool, terminating: bool, node: str | None, hints: dict[str, Any]
) -> dict[str, Any]:
    value: dict[str, Any] = endpoint(address, ready, serving, terminating)
    return {**value, "nodeName": node, "hints": hints}


def any_node(name: str, address: str, node_labels: dict[str, str]) -> dict[str, Any]:
    value = node_value(name, address, "10.2.0.0/16")
    value["metadata"]["labels"] = node_labels
    return value


namespaces = st.sampled_from(["shop", "lab"])
addresses = st.integers(1, 6).map(lambda number: f"10.1.0.{number}")
values = st.one_of(
    st.builds(
        pod_value,
        st.sampled_from(["p1", "p2", "p3", "p4"]),
        st.one_of(addresses, st.tuples(addresses, st.just("fd00::5"))),
        labels,
        namespaces,
        st.sampled_from([None, 1, 2, 3]),
        st.sampled_from([NODE_NAME, "node-b"]),
        st.sampled_from([(), ({"name": "http", "containerPort": 8080},)]),
    ),
    st.builds(namespace_value, namespaces, labels),
    st.builds(
        lambda name, namespace, selector, ingress, egress: policy_value(
            name, namespace, podSelector=selector, ingress=ingress, **({"egress": egress} if egress else {})
        ),
        st.sampled_from(["n1", "n2"]),
        namespaces,
        selectors,
        rules("from"),
        rules("to"),
    ),
    st.builds(
        any_service,
        st.sampled_from(["s1", "s2"]),
        st.sampled_from([["10.96.0.1"], ["10.96.0.2", "fd00::2"], ["None"], []]),
        st.lists(
            st.sampled_from(
                [
                    {"port": 80, "name": "http", "nodePort": 30080},
                    {"port": 53, "name": "dns", "protocol": "UDP"},
                    {"port": 80, "name": "sctp", "protocol": "SCTP"},
                ]
            ),
            max_size=2,
        ),
        st.sampled_from([None, "198.51.100.1", "bad"]),
        st.fixed_dictionaries(
            {},
            optional={
                "externalTrafficPolicy": st.sampled_from(["Local", "Cluster", "Odd"]),
                "internalTrafficPolicy": st.sampled_from(["Local", "Cluster"]),
                "sessionAffinity": st.sampled_from(["None", "ClientIP"]),
                "externalIPs": st.sampled_from([["198.51.100.2"], ["10.96.0.1"], ["x"]]),
                "loadBalancerSourceRanges": st.sampled_from([["203.0.113.0/24"], ["::/0", "x"]]),
                "healthCheckNodePort": st.sampled_from([30100, 30101]),
                "type": st.sampled_from(["LoadBalancer", "ExternalName"]),
            },
        ),
    ),
    st.builds(
        slice_value,
        st.sampled_from(["s1", "s2"]),
        st.lists(
            st.builds(
                any_endpoint,
                addresses,
                st.sampled_from([True, False, None]),
                st.booleans(),
                st.booleans(),
                st.sampled_from([None, NODE_NAME, "node-b"]),
                st.sampled_from([{}, {"forZones": [{"name": "a"}]}, {"forNodes": [{"name": NODE_NAME}]}]),
            ),
            max_size=3,
        ),
        st.just([{"name": "http", "port": 8080}, {"name": "dns", "port": 53, "protocol": "UDP"}]),
        st.sampled_from(["e1", "e2"]),
    ),
    st.builds(
        any_node,
        st.sampled_from([NODE_NAME, "node-b"]),
        st.sampled_from(["192.0.2.2", "192.0.2.9"]),
        st.sampled_from([{}, {"topology.kubernetes.io/zone": "a", "app": "a"}]),
    ),
)
cluster_peers = st.one_of(
    selectors.map(lambda found: {"namespaces": found}),
    st.tuples(selectors, selectors).map(
        lambda found: {"pods": {"namespaceSelector": found[0], "podSelector": found[1]}}
    ),
    selectors.map(lambda found: {"nodes": found}),
    blocks.map(lambda found: {"networks": [found]}),
    st.just({}),
)
cluster_protocols = st.sampled_from(
    [{"tcp": {"destinationPort": {"number": 80}}}, {"udp": {}}, {"destinationNamedPort": "http"}, {}]
)


def cluster_rules(direction: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    rule = st.fixed_dictionaries(
        {"action": st.sampled_from(["Accept", "Deny", "Pass", "Pass"]), direction: st.lists(cluster_peers, max_size=2)},
        optional={"protocols": st.lists(cluster_protocols, min_size=1, max_size=2)},
    )
    return st.lists(rule, max_size=3)


values |= st.one_of(
    st.builds(
        lambda name, tier, priority, subject, ingress, egress: cluster_policy_value(
            name, tier, priority, {"namespaces": subject}, ingress=ingress, egress=egress
        ),
        st.sampled_from(["c1", "c2"]),
        st.sampled_from(["Admin", "Baseline", "Admin", "Odd"]),
        st.integers(0, 2),
        selectors,
        cluster_rules("from"),
        cluster_rules("to"),
    ),
    st.builds(service_cidr_value, st.just("kubernetes"), st.sampled_from(["10.96.0.0/16", "10.0.0.0/8", "x"])),
)
steps = st.lists(st.tuples(values.map(typed), st.booleans()), max_size=25)


def everything(derivation: Derivation) -> tuple[set[Entity], set[str], list[tuple[str, str]], dict[int, HealthCheck]]:
    """Entities, problems, who made each, and the health checks."""
    sources = sorted((repr(entity.key), str(derivation.ledger.source(entity.key))) for entity in derivation.ledger)
    problems = {str(problem) for problem in derivation.problems}
    return set(derivation.ledger), problems, sources, derivation.health_checks.take()


def apply_all(derivation: Derivation, objects: dict[ObjectRef, KubeObject]) -> None:
    for ref, obj in objects.items():
        derivation.apply(ref, obj)
    derivation.settle()


@settings(max_examples=150, deadline=None)
@given(steps, st.integers(1, 5))
def test_by_steps_equals_from_scratch(history: list[tuple[KubeObject, bool]], every: int) -> None:
    derivation = Derivation(Settings(NODE_NAME))
    derivation.set_attachments(ATTACHMENTS)
    present: dict[ObjectRef, KubeObject] = {}
    told: dict[Any, Entity] = {}
    for number, (obj, removed) in enumerate(history):
        ref = reference(obj)
        if removed:
            present.pop(ref, None)
        else:
            present[ref] = obj
        derivation.apply(ref, present.get(ref))
        if number % every == 0:
            derivation.settle()
            for change in derivation.take_changes():
                assert change.old != change.new
                if change.old is not None:
                    assert told.pop(change.old.key) == change.old
                if change.new is not None:
                    told[change.new.key] = change.new
    derivation.settle()
    for change in derivation.take_changes():
        if change.old is not None:
            del told[change.old.key]
        if change.new is not None:
            told[change.new.key] = change.new
    scratch = Derivation(Settings(NODE_NAME))
    scratch.set_attachments(ATTACHMENTS)
    apply_all(scratch, dict(reversed(present.items())))
    assert everything(derivation) == everything(scratch)
    assert set(told.values()) == set(derivation.ledger), "the changes add up to the whole"
    assert len(derivation.engine) == len(scratch.engine), "nothing is kept that nobody needs"


def test_one_endpoint_costs_one_service() -> None:
    values_ = [
        item
        for number in range(50)
        for item in (
            service_value(f"s{number}", [f"10.96.1.{number}"]),
            slice_value(f"s{number}", [f"10.1.1.{number}"]),
        )
    ]
    derivation = derive(values_)
    derivation.take_changes()
    before = derivation.engine.runs
    changed = typed(slice_value("s7", ["10.1.1.7", "10.1.2.7"]))
    derivation.apply(reference(changed), changed)
    derivation.settle()
    assert derivation.engine.runs - before == 1
    assert len(derivation.take_changes()) == 2  # the member, and the group that it joins


def test_one_pod_does_not_touch_the_others() -> None:
    policy = policy_value(ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "a"}}}]}])
    pods = [
        pod_value(f"p{number}", f"10.1.3.{number}", {"app": "b", "n": str(number)}, port=number)
        for number in range(1, 60)
    ]
    derivation = derive([policy, *pods])
    derivation.take_changes()
    before = derivation.engine.runs
    added = typed(pod_value("new", "10.9.0.1", {"app": "a"}, node="node-b"))
    derivation.apply(reference(added), added)
    derivation.settle()
    assert derivation.engine.runs - before <= 5
    changed = [change.new for change in derivation.take_changes() if change.new is not None]
    assert len(entries_of(changed, "ingress_policy_table")) == 1
    assert len(changed) == 3


def test_the_attachments_file_counts_before_the_annotation_and_is_followed() -> None:
    derivation = derive([pod_value("p", "10.1.0.1", port=3)])

    def ports() -> set[Any]:
        return {entry.match[0].value for entry in entries_of(derivation.ledger, "port_table")}  # type: ignore[union-attr]

    assert ports() == {3}
    derivation.set_attachments(Attachments(pods=((ObjectRef("Pod", "shop", "p"), PodAttachment(9, 1)),)))
    derivation.settle()
    assert ports() == {9}
    derivation.set_attachments(Attachments())
    derivation.settle()
    assert ports() == {3}


def test_a_pod_without_a_port_or_with_half_an_annotation_is_named() -> None:
    half = pod_value("half", "10.1.0.2", port=1)
    del half["metadata"]["annotations"]["kulvert.dev/mac"]
    derivation = derive([pod_value("none", "10.1.0.1"), half, pod_value("elsewhere", "10.2.0.1", node="node-b")])
    assert {str(problem.ref) for problem in derivation.problems} == {"Pod/shop/none", "Pod/shop/half"}
    assert not entries_of(derivation.ledger, "destination_pod_table")


def test_routes_go_to_other_nodes_by_their_neighbour_and_what_cannot_is_named() -> None:
    derivation = derive(
        [
            node_value(NODE_NAME, "192.0.2.1", "10.1.0.0/16"),
            node_value("node-b", "192.0.2.2", "10.2.0.0/16"),
            node_value("node-c", "192.0.2.9", "10.3.0.0/16"),
        ]
    )
    derivation.set_attachments(ATTACHMENTS)
    derivation.settle()
    found = {entry.match[0].prefix_length for entry in entries_of(derivation.ledger, "route_table")}  # type: ignore[union-attr]
    assert found == {96, 112, 128}
    assert len(entries_of(derivation.ledger, "route_table")) == 4  # itself, node-b, node-b's pods, the static one
    assert [str(problem.ref) for problem in derivation.problems] == ["Node/node-c"]


def test_two_pods_on_one_port_are_a_conflict_and_the_first_has_it() -> None:
    first, second = pod_value("a", "10.1.0.1", port=1), pod_value("b", "10.1.0.2", port=1)
    derivation = derive([second, first])
    assert [str(problem) for problem in derivation.problems] == ["Pod/shop/b: port 1 is Pod/shop/a's already"]
    assert len(entries_of(derivation.ledger, "source_pod_table")) == 1
    derivation.apply(reference(typed(first)), None)
    derivation.settle()
    assert not derivation.problems
    assert len(entries_of(derivation.ledger, "source_pod_table")) == 1


def test_what_stays_the_same_is_there_once() -> None:
    """The first change of each Service makes no second copy of its other endpoints: 10,000 of them would take their memory again."""

    def slices(number: int, last: int) -> KubeObject:
        return typed(
            slice_value(f"s{number}", [f"10.{number}.0.{index}" for index in range(1, 30)] + [f"10.0.0.{last}"])
        )

    services = range(40)
    derivation = derive([service_value(f"s{number}", [f"10.96.2.{number}"]) for number in services])
    held = [slices(number, 1) for number in services]
    for obj in held:
        derivation.apply(reference(obj), obj)
    derivation.settle()
    derivation.take_changes()
    blocks = sys.getallocatedblocks()
    for number in services:
        held[number] = slices(number, 2)
        derivation.apply(reference(held[number]), held[number])
        derivation.settle()
        derivation.take_changes()
    gc.collect()
    assert (sys.getallocatedblocks() - blocks) / len(services) < 30
    for output in (output for _, output in derivation.engine.values(SERVICE)):
        for entity in output.entities:
            assert derivation.ledger.get(entity.key) is entity
