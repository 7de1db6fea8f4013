"""Size: what must work at the figures of a large cluster, small enough to be looked at in a test; `bench/control_plane.py` measures."""

from __future__ import annotations

from controlplane.desired.entities import ActionProfileGroup
from controlplane.kube.objects import reference
from tests.controlplane.cluster import derive, entries_of, pod_value, policy_value, service_value, slice_value, typed


def test_a_thousand_endpoints_of_one_service() -> None:
    slices = [
        slice_value(endpoints=[f"10.{number}.0.{index}" for index in range(1, 101)], name=f"web-{number}")
        for number in range(10)
    ]
    derivation = derive([service_value(), *slices])
    (group,) = [item for item in derivation.ledger if isinstance(item, ActionProfileGroup)]
    assert len(group.members) == 1000 and not derivation.problems


def test_the_cost_of_a_change_is_that_of_its_service() -> None:
    """Among a thousand Services as among ten."""
    costs = []
    for count in (10, 1000):
        services = [
            service_value(f"s{number}", [f"10.96.{number // 250}.{number % 250 + 1}"]) for number in range(count)
        ]
        derivation = derive([*services, *(slice_value(f"s{number}") for number in range(count))])
        derivation.take_changes()
        before = derivation.engine.runs
        changed = typed(slice_value("s7", ["10.1.0.1", "10.1.0.2"]))
        derivation.apply(reference(changed), changed)
        derivation.settle()
        costs.append((derivation.engine.runs - before, len(derivation.take_changes())))
    assert costs[0] == costs[1] == (1, 2)


def test_a_pod_elsewhere_costs_its_identity() -> None:
    """Whatever policies there are for pods of other nodes: they are not worked out here."""
    policies = [
        policy_value(f"n{number}", podSelector={"matchLabels": {"n": str(number)}}, ingress=[{"ports": [{"port": 1}]}])
        for number in range(50)
    ]
    local = [pod_value(f"p{number}", f"10.1.0.{number}", {"app": "a"}, port=number) for number in range(1, 111)]
    derivation = derive([*policies, *local])
    derivation.take_changes()
    other = typed(pod_value("other", "10.2.0.1", {"n": "7"}, port=200, node="node-b"))
    derivation.apply(reference(other), other)
    derivation.settle()
    changed = [change.new for change in derivation.take_changes() if change.new is not None]
    assert {entry.table for entry in entries_of(changed, "source_identity_table")} == {"source_identity_table"}
    assert len(changed) == 2 and not entries_of(changed, "destination_pod_table")
    assert not entries_of(derivation.ledger, "ingress_policy_table")
    assert len(entries_of(derivation.ledger, "destination_pod_table")) == 110
