"""ClusterIP Services: one test a row of the contract's Services table that this stage covers."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.addresses import format_address, parse_address, parse_prefix
from controlplane.desired.derive import Derivation
from controlplane.desired.entities import (
    ActionCall,
    ActionProfileGroup,
    ActionProfileMember,
    Exact,
    GroupReference,
    Lpm,
    TableEntry,
)
from controlplane.desired.inputs import Settings
from controlplane.desired.symbols import EndpointId, ServiceId
from tests.controlplane.cluster import NODE_NAME, derive, endpoint, entries_of, service_value, slice_value


def frontends(derivation: Derivation) -> dict[tuple[str, int, int], str]:
    """(address, protocol, port) to the action's name."""
    found = {}
    for entry in entries_of(derivation.ledger, "service_frontend_table"):
        address, protocol, port = (field.value for field in entry.match if isinstance(field, Exact))
        assert isinstance(address, int) and isinstance(protocol, int) and isinstance(port, int)
        assert isinstance(entry.action, ActionCall)
        found[format_address(address), protocol, port] = entry.action.action
    return found


def endpoints(derivation: Derivation) -> set[str]:
    """address:port of everything that takes new connections, by way of entry, group and members."""
    members = {item.member: item for item in derivation.ledger if isinstance(item, ActionProfileMember)}
    groups = {item.group: item for item in derivation.ledger if isinstance(item, ActionProfileGroup)}
    found = set()
    for entry in entries_of(derivation.ledger, "service_endpoint_table"):
        assert isinstance(entry.action, GroupReference)
        for item in groups[entry.action.group].members:
            address, port, _ = (param.value for param in members[item.member].action.params)
            assert isinstance(address, int)
            found.add(f"{format_address(address)}:{port}")
    return found


def live(derivation: Derivation) -> set[str]:
    found = set()
    for entry in entries_of(derivation.ledger, "live_endpoint_table"):
        (field,) = entry.match
        assert isinstance(field, Exact) and isinstance(field.value, EndpointId)
        found.add(format_address(field.value.address))
    return found


def test_a_cluster_ip_leads_to_its_endpoints() -> None:
    derivation = derive([service_value(), slice_value(endpoints=["10.1.0.1", "10.1.0.2"])])
    assert frontends(derivation) == {("10.96.0.10", 6, 80): "set_service"}
    assert endpoints(derivation) == {"10.1.0.1:8080", "10.1.0.2:8080"}
    assert not derivation.problems


def test_protocols_on_one_port_number_are_separate_frontends() -> None:
    ports = [{"name": name, "port": 53, "protocol": name.upper()} for name in ("tcp", "udp", "sctp")]
    slices = slice_value(ports=[{"name": name, "port": 5300, "protocol": name.upper()} for name in ("tcp", "udp")])
    derivation = derive([service_value(ports=ports), slices])
    assert frontends(derivation) == {
        ("10.96.0.10", 6, 53): "set_service",
        ("10.96.0.10", 17, 53): "set_service",
        ("10.96.0.10", 132, 53): "reject_service",
    }


def test_slice_ports_are_found_by_name_and_protocol() -> None:
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 81}]
    derivation = derive([service_value(ports=ports), slice_value(ports=[{"name": "b", "port": 9000}])])
    assert frontends(derivation) == {("10.96.0.10", 6, 80): "reject_service", ("10.96.0.10", 6, 81): "set_service"}
    assert endpoints(derivation) == {"10.1.0.1:9000"}


def test_wrong_port_of_a_live_address_is_rejected_and_an_unheld_address_dropped() -> None:
    settings = Settings(NODE_NAME, (parse_prefix("10.96.0.0/16"), parse_prefix("fd00:96::/112")))
    derivation = derive([service_value()], settings)
    found = {}
    for entry in entries_of(derivation.ledger, "service_address_table"):
        (field,) = entry.match
        assert isinstance(field, Lpm) and isinstance(entry.action, ActionCall)
        found[field.value, field.prefix_length] = entry.action.action
    assert found == {
        (parse_address("10.96.0.10"), 128): "reject_address",
        (parse_address("10.96.0.0"), 112): "drop_address",
        (parse_address("fd00:96::"), 112): "drop_address",
    }


@pytest.mark.parametrize(
    "value",
    [
        service_value(ips=["None"]),
        service_value(ips=[]),
        service_value(type="ExternalName", externalName="example.org"),
        service_value(labels={"service.kubernetes.io/service-proxy-name": "other"}),
    ],
    ids=["headless", "no address yet", "ExternalName with a clusterIP", "another proxy's"],
)
def test_what_is_not_ours_gets_nothing(value: dict[str, Any]) -> None:
    assert len(derive([value, slice_value()]).ledger) == len(derive([]).ledger)


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ([endpoint("10.1.0.1", True), endpoint("10.1.0.2", False, True, True)], {"10.1.0.1:8080"}),
        ([endpoint("10.1.0.1", False, True, True), endpoint("10.1.0.2", False, False, True)], {"10.1.0.1:8080"}),
        ([endpoint("10.1.0.1", False, True, False)], set()),
        ([endpoint("10.1.0.1", None)], {"10.1.0.1:8080"}),
        ([{"addresses": ["10.1.0.1"]}], {"10.1.0.1:8080"}),
    ],
    ids=[
        "ready before terminating",
        "serving and terminating",
        "serving is not enough",
        "unknown is ready",
        "no conditions",
    ],
)
def test_which_endpoints_are_used(given: list[Any], chosen: set[str]) -> None:
    derivation = derive([service_value(), slice_value(endpoints=given)])
    assert endpoints(derivation) == chosen
    assert frontends(derivation) == {("10.96.0.10", 6, 80): "set_service" if chosen else "reject_service"}


def test_live_endpoints_are_the_serving_ones_and_only_where_a_connection_has_no_end() -> None:
    given = [endpoint("10.1.0.1", True), endpoint("10.1.0.2", False, True, True), endpoint("10.1.0.3", False, False)]
    ports = [{"name": "u", "port": 53, "protocol": "UDP"}, {"name": "t", "port": 53}]
    slices = slice_value(
        endpoints=given, ports=[{"name": "u", "port": 53, "protocol": "UDP"}, {"name": "t", "port": 53}]
    )
    derivation = derive([service_value(ports=ports), slices])
    assert live(derivation) == {"10.1.0.1", "10.1.0.2"}
    assert len(entries_of(derivation.ledger, "live_endpoint_table")) == 2


@pytest.mark.parametrize(
    ("spec", "seconds", "problems"),
    [
        ({}, 0, 0),
        ({"sessionAffinity": "None"}, 0, 0),
        ({"sessionAffinity": "ClientIP"}, 10800, 0),
        ({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86400}}}, 86400, 0),
        ({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86401}}}, 10800, 1),
        ({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}}}, 10800, 1),
        ({"sessionAffinity": "Cookie"}, 0, 1),
    ],
)
def test_how_long_a_client_stays_with_its_endpoint(spec: dict[str, Any], seconds: int, problems: int) -> None:
    service = service_value()
    service["spec"] |= spec
    derivation = derive([service, slice_value(endpoints=["10.1.0.1"])])
    (entry,) = entries_of(derivation.ledger, "service_frontend_table")
    assert isinstance(entry.action, ActionCall)
    assert {param.name: param.value for param in entry.action.params}["affinity_seconds"] == seconds
    assert len(derivation.problems) == problems


def test_families_are_independent() -> None:
    derivation = derive([service_value(ips=["10.96.0.10", "fd00::10"]), slice_value()])
    assert frontends(derivation) == {("10.96.0.10", 6, 80): "set_service", ("fd00::10", 6, 80): "reject_service"}
    derivation = derive(
        [
            service_value(ips=["10.96.0.10", "fd00::10"]),
            slice_value(),
            slice_value(endpoints=["fd01::1"], address_type="IPv6"),
        ]
    )
    assert endpoints(derivation) == {"10.1.0.1:8080", "fd01::1:8080"}
    ids = {param.value for entry in entries_of(derivation.ledger, "service_frontend_table") for param in _params(entry)}
    assert {item.family for item in ids if isinstance(item, ServiceId)} == {4, 6}


def _params(entry: TableEntry) -> Any:
    assert isinstance(entry.action, ActionCall)
    return entry.action.params


def test_several_slices_are_one_set_and_repeated_endpoints_one() -> None:
    derivation = derive(
        [
            service_value(),
            slice_value(endpoints=["10.1.0.1", "10.1.0.2"], name="one"),
            slice_value(endpoints=["10.1.0.2", "10.1.0.3"], name="two"),
        ]
    )
    assert endpoints(derivation) == {f"10.1.0.{number}:8080" for number in (1, 2, 3)}


def test_odd_addresses_are_normalised_or_named_and_nothing_else_is_lost() -> None:
    derivation = derive(
        [
            service_value(ips=[" 10.96.0.10 ", "010.096.0.1"]),
            service_value("other", ["::ffff:10.96.0.11"]),
            slice_value(endpoints=["10.1.0.1", "10.1.0.01", "fd00::1"]),
        ]
    )
    assert set(frontends(derivation)) == {("10.96.0.10", 6, 80), ("10.96.0.11", 6, 80)}
    assert endpoints(derivation) == {"10.1.0.1:8080"}
    messages = sorted(str(problem) for problem in derivation.problems)
    assert [message.split(": ", 1)[0] for message in messages] == ["Service/shop/web"] * 3
    assert any("010.096.0.1" in message for message in messages)


def test_an_impossible_port_is_named_and_the_others_stay() -> None:
    derivation = derive(
        [service_value(ports=[{"port": 80}, {"name": "x", "port": 0}, {"name": "y", "port": 9, "protocol": "ICMP"}])]
    )
    assert set(frontends(derivation)) == {("10.96.0.10", 6, 80)}
    assert len(derivation.problems) == 2


def test_two_services_with_one_address_and_port_are_a_conflict_that_is_reported_and_resolved() -> None:
    from tests.controlplane.cluster import ref_of

    first, second = service_value("a"), service_value("b")
    derivation = derive([first, second, slice_value("b")])
    assert frontends(derivation) == {("10.96.0.10", 6, 80): "reject_service"}
    assert [str(problem.ref) for problem in derivation.problems] == ["Service/shop/b"]
    derivation.apply(ref_of(first), None)
    derivation.settle()
    assert frontends(derivation) == {("10.96.0.10", 6, 80): "set_service"}
    assert not derivation.problems
