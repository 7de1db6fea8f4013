"""Codec, numbers and order: the parts between entities and the session."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.desired.entities import (
    ActionCall,
    ActionProfileGroup,
    ActionProfileMember,
    Entity,
    Exact,
    FieldMatch,
    GroupMember,
    GroupReference,
    Lpm,
    Param,
    Range,
    TableEntry,
    Ternary,
    entry,
)
from controlplane.desired.symbols import POD_IDENTITY_BIT, EndpointId, Identity, PolicyId, ServiceId
from controlplane.p4rt.allocate import WINDOW, Allocator, Space, SpaceFullError, value_space
from controlplane.p4rt.codec import Codec, PipelineMismatchError
from controlplane.p4rt.sequence import Order, Update, UpdateType, sequence
from p4base.lookup import P4InfoIndex
from tests.controlplane.pipeline import make_p4info

INDEX = P4InfoIndex(make_p4info())


def codec() -> Codec:
    return Codec(INDEX, Allocator())


SERVICE = ServiceId("shop", "web", 80, 6, 4)
ENDPOINT = EndpointId(SERVICE, 1, 8080)
POD = Identity("shop", (("app", "web"),), (), None)


def params(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << bits) - 1)


policy_fields = st.tuples(
    params(16).map(lambda value: Exact("policy_id", value)),
    st.one_of(
        st.none(),
        params(24).map(lambda value: Ternary("identity", value)),
        params(24).map(lambda value: Ternary("identity", POD_IDENTITY_BIT, POD_IDENTITY_BIT)),
    ),
    st.one_of(st.none(), params(8).map(lambda value: Ternary("protocol", value))),
    st.one_of(st.none(), st.tuples(params(16), params(15)).map(lambda ends: ports(min(ends), max(ends)))),
)


def ports(low: int, high: int) -> Range | None:
    """A range; all ports are no field at all (P4Runtime specification, "Match format")."""
    return None if (low, high) == (0, 0xFFFF) else Range("l4_dport", low, high)


def present(fields: tuple[FieldMatch | None, ...]) -> tuple[FieldMatch, ...]:
    return tuple(field for field in fields if field is not None)


entities = st.one_of(
    policy_fields.map(lambda fields: entry("egress_policy_table", present(fields), "allow_egress", priority=3)),
    st.tuples(params(128), st.integers(1, 128), params(9), params(48)).map(
        lambda item: entry(
            "route_table",
            (Lpm("dst_addr", item[0] >> (128 - item[1]) << (128 - item[1]), item[1]),),
            "forward",
            Param("port", item[2]),
            Param("src_mac", item[3]),
            Param("dst_mac", 0),
        )
    ),
    st.tuples(params(32), params(128), params(16)).map(
        lambda item: ActionProfileMember(
            "endpoint_selector",
            item[0],
            ActionCall("select_endpoint", (Param("addr", item[1]), Param("port", item[2]), Param("endpoint_id", 1))),
        )
    ),
    st.lists(params(32), min_size=1, max_size=5, unique=True).map(
        lambda ids: ActionProfileGroup("endpoint_selector", 7, tuple(GroupMember(item) for item in sorted(ids)))
    ),
    params(24).map(lambda item: TableEntry("service_endpoint_table", (Exact("set_id", item),), GroupReference(9))),
)


@given(entities)
def test_decoding_undoes_encoding_and_the_canonical_form_is_stable(entity: Entity) -> None:
    wire = codec().encode(entity)
    assert codec().decode(wire.message) == entity
    again = codec().canonical(wire.message)
    assert again is not None and (again.key, again.body) == (wire.key, wire.body)
    assert codec().encode_key(entity) == wire.key
    assert wire.message.SerializeToString(deterministic=True) == wire.body, "what protobuf itself makes of it"


def test_what_a_server_may_add_is_taken_away() -> None:
    wanted = codec().encode(entry("port_table", (Exact("ingress_port", 1),), "set_pod_port", Param("mac", 0)))
    message = type(wanted.message)()
    message.CopyFrom(wanted.message)
    message.table_entry.match[0].exact.value = b"\0\x01"
    message.table_entry.action.action.params[0].value = b"\0\0\0\0\0\0"
    message.table_entry.counter_data.packet_count = 7
    found = codec().canonical(message)
    assert found is not None and found.body == wanted.body
    message.table_entry.is_default_action = True
    assert codec().canonical(message) is None


def test_what_is_in_a_constant_table_is_the_programs_own() -> None:
    """Also where the server does not say so of the single entry, as PI does not."""
    wanted = codec().encode(entry("port_table", (Exact("ingress_port", 1),), "set_pod_port", Param("mac", 0)))
    p4info = make_p4info()
    next(table for table in p4info.tables if table.preamble.alias == "port_table").is_const_table = True
    assert Codec(P4InfoIndex(p4info), Allocator()).canonical(wanted.message) is None
    assert codec().canonical(wanted.message) == wanted


def test_what_matches_everything_is_left_out() -> None:
    """Be it written so here, or read so from a switch (specification, "Match Format")."""
    everything = entry("egress_policy_table", (Exact("policy_id", 1),), "allow_egress", priority=3)
    said = (Exact("policy_id", 1), Ternary("identity", 0, 0), Range("l4_dport", 0, 65535))
    assert codec().encode(entry("egress_policy_table", said, "allow_egress", priority=3)) == codec().encode(everything)
    params = (Param("port", 1), Param("src_mac", 2), Param("dst_mac", 3))
    default = codec().encode(entry("route_table", (Lpm("dst_addr", 0, 0),), "forward", *params))
    assert default == codec().encode(entry("route_table", (), "forward", *params))
    assert not default.message.table_entry.match
    message = default.message
    message.table_entry.match.add(field_id=1).lpm.value = b"\0"
    found = codec().canonical(message)
    assert found is not None and found == default


@pytest.mark.parametrize(
    ("entity", "words"),
    [
        (entry("no_table", (), "forward"), "no_table"),
        (entry("route_table", (Lpm("no_field", 0, 8),), "forward"), "no_field"),
        (entry("port_table", (Exact("ingress_port", 512),), "set_pod_port", Param("mac", 1)), "9 bits"),
        (entry("port_table", (Exact("ingress_port", 1),), "no_action"), "no_action"),
        (entry("port_table", (Exact("ingress_port", 1),), "reject_service"), "no action reject_service"),
        (entry("port_table", (Exact("ingress_port", 1),), "set_pod_port"), "takes the parameters mac"),
        (entry("port_table", (Exact("ingress_port", 1),), "set_pod_port", Param("no_param", 1)), "no_param"),
        (TableEntry("port_table", (Exact("ingress_port", 1),), GroupReference(1)), "no action selector"),
    ],
)
def test_a_mismatch_with_the_p4info_is_named(entity: Entity, words: str) -> None:
    with pytest.raises(PipelineMismatchError, match=words):
        codec().encode(entity)


# -- numbers


def test_equal_symbols_have_equal_numbers_and_others_do_not() -> None:
    allocator = Allocator()
    space = Space("small", 1, 40)
    symbols = [PolicyId("ingress", str(number)) for number in range(40)]
    numbers = {allocator.number(space, symbol) for symbol in symbols}
    assert numbers == set(range(1, 41))
    assert [allocator.number(space, symbol) for symbol in symbols] == [
        allocator.peek(space, symbol) for symbol in symbols
    ]
    with pytest.raises(SpaceFullError, match="all 40 numbers"):
        allocator.number(space, SERVICE)


def test_pods_identities_are_told_by_their_highest_bit_and_reserved_ones_are_not_given_out() -> None:
    allocator = Allocator()
    for number in range(50):
        pod = Identity("shop", (("n", str(number)),), (), None)
        assert allocator.number(value_space(pod, 24), pod) & POD_IDENTITY_BIT
        block = Identity("", (), (), None)
        assert 2 <= allocator.number(value_space(block, 24), block) < POD_IDENTITY_BIT


def test_a_number_is_not_given_out_again_while_the_switch_may_use_it() -> None:
    allocator = Allocator()
    space = Space("tiny", 1, 2)
    slot = (space, SERVICE)
    number = allocator.number(*slot)
    allocator.retain(slot)
    allocator.release(slot)
    other = PolicyId("ingress", "x")
    assert allocator.number(space, other) != number
    allocator.sweep()
    assert allocator.peek(*slot) is None
    assert allocator.number(space, PolicyId("ingress", "y")) == number


def test_only_plausible_and_free_numbers_are_adopted() -> None:
    allocator = Allocator()
    space = Space("wide", 1, 1 << 24)
    start = space.preferred(SERVICE)
    allocator.reserve(space, 1 + (start + 3) % space.size)
    assert not allocator.adopt(space, SERVICE, 1 + (start + WINDOW) % space.size)
    assert allocator.adopt(space, SERVICE, 1 + (start + 3) % space.size)
    assert not allocator.adopt(space, SERVICE, 1 + (start + 4) % space.size), "it has one"
    near = next(
        item
        for number in range(100000)
        if space.plausible(item := PolicyId("e", str(number)), 1 + start) or number == 99999
    )
    assert not space.plausible(near, 1 + start) or allocator.adopt(space, near, 1 + start)


# -- order


def rank(name: str) -> int:
    item = INDEX.tables.get(name) or INDEX.action_profiles[name]
    return Order(INDEX).rank(item.preamble.id)


def test_what_is_referred_to_ranks_lower() -> None:
    chain = ["live_endpoint_table", "endpoint_selector", "service_endpoint_table", "service_frontend_table"]
    assert [rank(name) for name in chain] == sorted({rank(name) for name in chain})
    for policy in ("egress_policy_table", "ingress_policy_table"):
        for user in ("source_identity_table", "destination_identity_table"):
            assert rank(policy) < rank(user)
    assert rank("egress_policy_table") < rank("source_pod_table")
    assert rank("ingress_policy_table") < rank("destination_pod_table")


def test_an_annotation_says_a_reference_where_names_do_not() -> None:
    info = make_p4info()
    action = next(item for item in info.actions if item.preamble.alias == "forward")
    action.params[0].annotations.append("@refers_to(port_table, ingress_port)")
    index = P4InfoIndex(info)
    order = Order(index)
    assert order.rank(index.tables["port_table"].preamble.id) < order.rank(index.tables["route_table"].preamble.id)


def test_insertions_go_up_deletions_come_last_and_down() -> None:
    wire = codec()
    wanted: list[Entity] = [
        entry(
            "service_frontend_table",
            (Exact("dst_addr", 1), Exact("protocol", 6), Exact("l4_dport", 1)),
            "set_service",
            *(Param(name, SERVICE) for name in ("internal_set_id", "external_set_id")),
            *(Param(name, 0) for name in ("masquerade", "source_ranges_id", "affinity_id", "affinity_seconds")),
        ),
        TableEntry("service_endpoint_table", (Exact("set_id", SERVICE),), GroupReference(SERVICE)),
        ActionProfileGroup("endpoint_selector", SERVICE, (GroupMember(ENDPOINT),)),
        ActionProfileMember(
            "endpoint_selector",
            ENDPOINT,
            ActionCall("select_endpoint", (Param("addr", 1), Param("port", 2), Param("endpoint_id", ENDPOINT))),
        ),
        entry("live_endpoint_table", (Exact("endpoint_id", ENDPOINT),), "endpoint_is_live"),
    ]
    updates = [Update(kind, wire.encode(item), item) for item in wanted for kind in UpdateType]
    random.Random(1).shuffle(updates)
    batches = list(sequence(updates, Order(INDEX), 1000))
    got = [(batch[0].type is UpdateType.DELETE, wanted.index(batch[0].entity)) for batch in batches if batch[0].entity]
    assert got == [(False, 4), (False, 3), (False, 2), (False, 1), (False, 0)] + [(True, number) for number in range(5)]


def test_batches_are_no_larger_than_asked() -> None:
    wire = codec()
    items = [
        entry("port_table", (Exact("ingress_port", number),), "set_pod_port", Param("mac", 1)) for number in range(25)
    ]
    batches = list(sequence([Update(UpdateType.INSERT, wire.encode(item), item) for item in items], Order(INDEX), 10))
    assert [len(batch) for batch in batches] == [10, 10, 5]
    assert POD.namespace
