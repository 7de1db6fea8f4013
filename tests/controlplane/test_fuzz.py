"""Objects with anything anywhere: read or refused by name, never an internal error, and the others untouched."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.desired.derive import Derivation
from controlplane.desired.inputs import Settings
from controlplane.kube.decode import DecodeError, decode
from controlplane.kube.objects import RESOURCES, reference
from tests.controlplane.cluster import (
    NODE_NAME,
    cluster_policy_value,
    namespace_value,
    node_value,
    pod_value,
    policy_value,
    service_cidr_value,
    service_value,
    slice_value,
    typed,
)

GOOD = [
    service_value("good", ["10.96.0.1"]),
    slice_value("good"),
    pod_value("good", "10.1.0.1", {"app": "good"}, port=1),
    policy_value("good", podSelector={"matchLabels": {"app": "good"}}, ingress=[{"from": [{"podSelector": {}}]}]),
]
SEEDS = [
    service_value("odd", ["10.96.9.9", "fd00::9"], [{"port": 80, "name": "http", "protocol": "TCP"}]),
    slice_value("odd", ["10.1.9.9"], [{"name": "http", "port": 80, "protocol": "TCP"}]),
    pod_value("odd", ["10.1.9.9", "fd00::1:9"], {"a": "b"}, port=9, ports=[{"name": "http", "containerPort": 80}]),
    node_value(NODE_NAME, "192.0.2.1", "10.1.0.0/16"),
    namespace_value("odd", {"a": "b"}),
    policy_value(
        "odd",
        "elsewhere",
        policyTypes=["Ingress", "Egress"],
        ingress=[{"from": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}}]}],
        egress=[
            {
                "to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
                "ports": [{"port": 1, "endPort": 9}],
            }
        ],
    ),
]
SEEDS += [
    cluster_policy_value(
        "odd",
        subject={
            "pods": {"namespaceSelector": {"matchLabels": {"a": "b"}}, "podSelector": {"matchLabels": {"a": "b"}}}
        },
        ingress=[
            {"action": "Pass", "from": [{"namespaces": {}}], "protocols": [{"tcp": {"destinationPort": {"number": 1}}}]}
        ],
        egress=[{"action": "Deny", "to": [{"networks": ["10.0.0.0/8"]}]}],
    ),
    service_cidr_value("odd", "10.96.0.0/16"),
]
KEPT = {("kind",), ("apiVersion",), ("metadata",), ("metadata", "name"), ("metadata", "namespace")}

junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["None", "::", "1.2.3.4/0"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, child in children for found in ((*path, key), *paths(child, (*path, key)))]


@st.composite
def broken_values(draw: st.DrawFn) -> dict[str, Any]:
    value: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 2))):
        # A subject that selects more than it did is right all the same; what is wrong with one is test_cluster_policy's.
        kept = [item for item in paths(value) if item in KEPT or (item[:2] == ("spec", "subject") and len(item) > 2)]
        path = draw(st.sampled_from([item for item in paths(value) if item not in kept]))
        target: Any = value
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = draw(junk)
    return value


@settings(max_examples=200, deadline=None)
@given(st.lists(broken_values(), min_size=1, max_size=3))
def test_anything_anywhere(values: list[dict[str, Any]]) -> None:
    derivation = Derivation(Settings(NODE_NAME))
    for value in GOOD:
        obj = typed(value)
        derivation.apply(reference(obj), obj)
    derivation.settle()
    before = set(derivation.ledger)
    for value in values:
        resource = RESOURCES[value["kind"]]
        try:
            obj = decode(value, resource)
        except DecodeError as error:
            assert error.ref.name == value["metadata"]["name"]
            continue
        derivation.apply(reference(obj), obj)
    derivation.settle()
    for problem in derivation.problems:
        assert "internal error" not in problem.message, problem
        assert problem.ref.name in ("odd", NODE_NAME), problem
    assert before <= set(derivation.ledger)
