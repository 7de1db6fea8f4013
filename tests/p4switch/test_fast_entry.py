"""The short way of writing entries against the general one: never another outcome, and taken whenever it should be."""

from __future__ import annotations

import json

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from p4base.messages import p4r
from p4switch.dataplane import PLAIN, Attributes, Match, TableAction
from p4switch.service.memory import MemoryDataplane
from p4switch.service.pipeline import Pipeline, PipelineConfig
from tests.p4switch.harness import table
from tests.p4switch.programs import ACTION_ID, TABLE_ID, acl_entry, exact_entry, make_config, number, route_entry
from tests.p4switch.test_action_profile import balance_entry

Call = tuple[str, str, Match, TableAction]


class Recorder(MemoryDataplane):
    """Takes every write and remembers it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    def insert_entry(self, table: str, match: Match, action: TableAction, attributes: Attributes = PLAIN) -> None:
        self.calls.append(("insert", table, match, action))

    def modify_entry(self, table: str, match: Match, action: TableAction, attributes: Attributes = PLAIN) -> None:
        self.calls.append(("modify", table, match, action))


CONFIG = PipelineConfig(make_config())
RECORDER = Recorder()
PIPELINE = Pipeline(CONFIG, RECORDER)


def fast(update: p4r.Update) -> list[Call] | None:
    """What the short way does; None if it declines."""
    RECORDER.calls.clear()
    return list(RECORDER.calls) if PIPELINE.write_fast(update.SerializeToString()) else None


def general(update: p4r.Update) -> list[Call]:
    """What the handler does. Raises P4Error."""
    RECORDER.calls.clear()
    PIPELINE.handler("table_entry").write(update.type, update.entity.table_entry)
    return list(RECORDER.calls)


values = st.one_of(
    st.integers(0, 2**49).map(number),
    st.integers(0, 511).map(number),
    st.binary(max_size=18),
    st.tuples(st.just(b"\0\0"), st.binary(min_size=1, max_size=3)).map(b"".join),
    st.just(b"\x0a\x01\x01\x12\x09\x08\x02"),  # bytes that look like the message around them
)


@st.composite
def field_matches(draw: st.DrawFn) -> p4r.FieldMatch:
    match = p4r.FieldMatch(field_id=draw(st.integers(0, 3)))
    kind = draw(st.sampled_from(["exact", "exact", "lpm", "lpm", "ternary", "optional", "none"]))
    if kind == "exact":
        match.exact.value = draw(values)
    elif kind == "lpm":
        match.lpm.value = draw(values | st.integers(0, 2**128 - 1).map(number))
        match.lpm.prefix_len = draw(st.integers(0, 130) | st.sampled_from([32, 127, 128, -1, 2**31 - 1]))
    elif kind == "ternary":
        match.ternary.value, match.ternary.mask = draw(values), draw(values)
    elif kind == "optional":
        match.optional.value = draw(values)
    return match


@st.composite
def updates(draw: st.DrawFn) -> p4r.Update:
    """Anything from the usual to the absurd."""
    update = p4r.Update(type=draw(st.sampled_from([0, 1, 1, 1, 2, 2, 3])))  # type: ignore[arg-type]
    entry = update.entity.table_entry
    name = draw(st.sampled_from(["exact_table", "exact_table", "route_table", "route_table", *TABLE_ID]))
    entry.table_id = TABLE_ID[name] if draw(st.integers(0, 19)) else draw(st.integers(0, 2**32 - 1))
    if name == "exact_table" and draw(st.booleans()):
        for field_id in (1, 2):
            entry.match.add(field_id=field_id).exact.value = draw(values)
    elif name == "route_table" and draw(st.booleans()):
        length = draw(st.integers(1, 128))
        match = entry.match.add(field_id=1)
        match.lpm.value = number(draw(st.integers(0, 2**128 - 1)) >> (128 - length) << (128 - length))
        match.lpm.prefix_len = length
    else:
        entry.match.extend(draw(st.lists(field_matches(), max_size=3)))
    match draw(st.sampled_from(["forward", "forward", "drop", "any", "member", "none"])):
        case "forward":
            entry.action.action.action_id = ACTION_ID["forward"]
            for param_id in (1, 2):
                entry.action.action.params.add(param_id=param_id, value=draw(values))
        case "drop":
            entry.action.action.action_id = ACTION_ID["drop"]
        case "any":
            entry.action.action.action_id = draw(st.sampled_from([0, 7, *ACTION_ID.values()]))
            for param_id, value in draw(st.lists(st.tuples(st.integers(0, 3), values), max_size=3)):
                entry.action.action.params.add(param_id=param_id, value=value)
        case "member":
            entry.action.action_profile_member_id = 1
        case _:
            pass
    if not draw(st.integers(0, 5)):
        match draw(st.sampled_from(["metadata", "priority", "counter", "default", "const", "timeout", "unknown"])):
            case "metadata":
                entry.metadata = b"m"
            case "priority":
                entry.priority = 1
            case "counter":
                entry.counter_data.packet_count = 1
            case "default":
                entry.is_default_action = True
            case "const":
                entry.is_const = True
            case "timeout":
                entry.idle_timeout_ns = 1
            case _:
                entry.MergeFromString(b"\xfa\x3f\x01x")
    return update


@settings(max_examples=300, deadline=None)
@given(updates())
def test_the_short_way_does_what_the_general_way_does_or_nothing(update: p4r.Update) -> None:
    done = fast(update)
    if done is not None:
        assert done == general(update)


@pytest.mark.parametrize("kind", [p4r.Update.INSERT, p4r.Update.MODIFY])
@pytest.mark.parametrize(
    "entry",
    [
        exact_entry(0, 0, 0),
        exact_entry(2**48 - 1, 511, 511),
        route_entry(0x20010DB8 << 96, 32),
        route_entry(1, 128),
        route_entry(1 << 127, 1),
    ],
)
def test_the_usual_takes_the_short_way(kind: p4r.Update.Type.ValueType, entry: p4r.TableEntry) -> None:
    update = p4r.Update(type=kind, entity=table(entry))
    done = fast(update)
    assert done is not None
    assert done == general(update)


@pytest.mark.parametrize("entry", [acl_entry(), balance_entry(1, member_id=1), route_entry(0, 0)])
def test_the_rest_goes_the_general_way(entry: p4r.TableEntry) -> None:
    assert fast(p4r.Update(type=p4r.Update.INSERT, entity=table(entry))) is None


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(0, 255))
def test_damaged_update_is_declined_or_means_the_same(place: int, byte: int) -> None:
    """A byte changed in a good update: if it is a message still, what is done is what it means."""
    data = bytearray(p4r.Update(type=p4r.Update.INSERT, entity=table(exact_entry(0x1234, 5))).SerializeToString())
    data[place % len(data)] = byte
    try:
        update = p4r.Update.FromString(bytes(data))
    except DecodeError:
        return
    done = fast(update)
    if done is not None:
        assert done == general(update)


def test_metadata_is_forgotten_by_a_modify_without_it() -> None:
    dataplane = MemoryDataplane()
    dataplane.load(json.dumps(json.loads(CONFIG.bmv2_json)).encode())
    pipeline = Pipeline(CONFIG, dataplane)
    handler = pipeline.handler("table_entry")
    entry = exact_entry(1)
    entry.metadata = b"m"
    handler.write(p4r.Update.INSERT, entry)
    assert pipeline.write_fast(p4r.Update(type=p4r.Update.MODIFY, entity=table(exact_entry(1))).SerializeToString())
    (left,) = handler.snapshot(exact_entry(1))
    assert left.table_entry.metadata == b""
