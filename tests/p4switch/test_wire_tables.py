"""The data plane's own way of writing and reading entries against the service's: never another outcome.

Two devices with the same program take the same requests, one as bytes and one as messages, which go through the service's
handlers alone. They must refuse alike, in the same words, and hold the same afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from p4base.messages import p4r
from p4switch.service.errors import BatchError, Code, P4Error
from tests.p4switch.conftest import PortedNativeDataplane
from tests.p4switch.harness import Harness, table
from tests.p4switch.programs import ACTION_ID, TABLE_ID, exact_entry, make_config, number, route_entry

Outcome = list[tuple[Code, str] | None]

MALFORMED: Outcome = [(Code.INVALID_ARGUMENT, "malformed")]

DIRECT = ("exact_table", "route_table", "acl_table", "aged_table", "const_table", "keyless_table")

values = st.one_of(
    st.integers(0, 3).map(number),
    st.sampled_from(
        [b"", b"\0", b"\0\0\0\x02", b"\xff", b"\x01\xff", b"\x02\0", b"\xff" * 4, b"\xff" * 6, b"\xff" * 17]
    ),
)


@st.composite
def field_matches(draw: st.DrawFn) -> p4r.FieldMatch:
    match = p4r.FieldMatch(field_id=draw(st.integers(0, 5)))
    match draw(st.sampled_from(["exact", "exact", "ternary", "lpm", "range", "optional", None])):
        case "exact":
            match.exact.value = draw(values)
        case "ternary":
            match.ternary.value, match.ternary.mask = draw(values), draw(values)
        case "lpm":
            match.lpm.value, match.lpm.prefix_len = draw(values), draw(st.sampled_from([-1, 0, 1, 8, 128, 129]))
        case "range":
            match.range.low, match.range.high = draw(values), draw(values)
        case "optional":
            match.optional.value = draw(values)
    return match


def _plausible(draw: st.DrawFn, name: str, entry: p4r.TableEntry) -> None:
    """A key that is often right."""
    small = st.integers(0, 2)
    match name:
        case "exact_table":
            entry.match.add(field_id=1).exact.value = number(draw(small))
            entry.match.add(field_id=2).exact.value = number(draw(small))
        case "route_table":
            length = draw(st.sampled_from([1, 7, 64, 128]))
            match = entry.match.add(field_id=1)
            match.lpm.value, match.lpm.prefix_len = number(draw(small) << (128 - length) & (1 << 128) - 1), length
        case "acl_table":
            entry.priority = draw(st.integers(1, 3))
            entry.match.add(field_id=1).exact.value = number(draw(small))
            if draw(st.booleans()):
                match = entry.match.add(field_id=2)
                match.ternary.value, match.ternary.mask = number(draw(small)), number(3)
            if draw(st.booleans()):
                match = entry.match.add(field_id=3)
                match.range.low, match.range.high = number(draw(small)), number(draw(st.sampled_from([3, 0xFFFF])))
            if draw(st.booleans()):
                entry.match.add(field_id=4).optional.value = number(draw(small))
        case _:
            entry.match.add(field_id=1).exact.value = number(draw(small))


@st.composite
def entries(draw: st.DrawFn) -> p4r.TableEntry:
    name = draw(st.sampled_from(DIRECT))
    entry = p4r.TableEntry(table_id=TABLE_ID[name])
    if draw(st.integers(0, 3)):
        _plausible(draw, name, entry)
    else:
        entry.match.extend(draw(st.lists(field_matches(), max_size=4)))
        entry.priority = draw(st.sampled_from([0, 0, 1, -1, 2**31 - 1]))
    if draw(st.integers(0, 7)):
        action = entry.action.action
        action.action_id = draw(st.sampled_from([*ACTION_ID.values(), 7]))
        if action.action_id == ACTION_ID["forward"]:
            action.params.add(param_id=1, value=number(draw(st.integers(0, 3))))
            action.params.add(param_id=2, value=draw(st.sampled_from([b"\x05", b"\0\x05", b"\xff" * 6])))
        elif draw(st.booleans()):
            action.params.add(param_id=draw(st.integers(0, 2)), value=draw(values))
    for field, choices in (
        ("metadata", [b"\x01", b"note"]),
        ("controller_metadata", [1, 2**64 - 1]),
        ("idle_timeout_ns", [-1, 1, 10**12]),
        ("is_default_action", [True]),
        ("is_const", [True]),
    ):
        if draw(st.integers(0, 9)) == 0:
            setattr(entry, field, draw(st.sampled_from(choices)))
    if draw(st.integers(0, 15)) == 0:
        entry.counter_data.packet_count = draw(st.integers(-1, 1))
    if draw(st.integers(0, 15)) == 0:
        entry.meter_config.cir = draw(st.integers(-1, 1))
        entry.meter_config.pir = 1
    return entry


@st.composite
def updates(draw: st.DrawFn) -> p4r.Update:
    kind = draw(st.sampled_from([0, 1, 1, 1, 2, 2, 3, 3]))
    if draw(st.integers(0, 19)) == 0:
        return p4r.Update(type=p4r.Update.Type.ValueType(kind))
    return p4r.Update(type=p4r.Update.Type.ValueType(kind), entity=table(draw(entries())))


class Pair:
    """The two devices, empty at each `reset`."""

    def __init__(self) -> None:
        self.dataplanes = (PortedNativeDataplane(), PortedNativeDataplane())
        self.natively, self.plainly = (Harness(dataplane=dataplane) for dataplane in self.dataplanes)

    def reset(self) -> None:
        for switch in (self.natively, self.plainly):
            for name in DIRECT:
                if name not in ("const_table", "keyless_table"):
                    switch.delete(*(table(entry) for entry in switch.entries(TABLE_ID[name])))
                if name != "const_table":
                    default = p4r.TableEntry(table_id=TABLE_ID[name], is_default_action=True)
                    switch.modify(table(default))

    def check(self, request: p4r.WriteRequest | bytes) -> None:
        data = request if isinstance(request, bytes) else request.SerializeToString()
        outcome, expected = _outcome(self.natively, data, natively=True), _outcome(self.plainly, data, natively=False)
        # The request's head is looked at first, so that it may be refused for that.
        assert outcome == expected or (expected == MALFORMED and outcome in _WRONG_HEAD)
        assert self.state(self.natively) == self.state(self.plainly)

    @staticmethod
    def state(switch: Harness) -> list[bytes]:
        """Everything in the tables, by either way of reading."""
        everything = table(p4r.TableEntry(counter_data=p4r.CounterData(), meter_config=p4r.MeterConfig()))
        natively = sorted(entity.SerializeToString(deterministic=True) for entity in switch.read(everything))
        tables = switch.device._pipeline().tables.values()
        codecs = [each.codec for each in tables]
        for each in tables:
            each.codec = None
        plainly = sorted(entity.SerializeToString(deterministic=True) for entity in switch.read(everything))
        for each, codec in zip(tables, codecs, strict=True):
            each.codec = codec
        assert natively == plainly
        return natively

    def close(self) -> None:
        for dataplane in self.dataplanes:
            dataplane.close()


class _WrongHead:
    """Refusals of a whole request for its device, role or election id."""

    def __contains__(self, outcome: Outcome) -> bool:
        if len(outcome) != 1 or outcome[0] is None:
            return False
        code, message = outcome[0]
        return code in (Code.NOT_FOUND, Code.PERMISSION_DENIED) or message == "the request's role is not UTF-8"


_WRONG_HEAD = _WrongHead()


def _outcome(switch: Harness, data: bytes, *, natively: bool) -> Outcome:
    try:
        if natively:
            switch.device.write_bytes(data)
        else:
            switch.device.write(p4r.WriteRequest.FromString(data))
    except DecodeError:
        return MALFORMED
    except BatchError as error:
        return [None if item is None else (item.code, str(item)) for item in error.errors]
    except P4Error as error:
        if "is not a p4.v1." in str(error):
            return MALFORMED
        return [(error.code, str(error))]
    return []


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    both = Pair()
    yield both
    both.close()


atomicities = st.sampled_from(
    [p4r.WriteRequest.CONTINUE_ON_ERROR] * 3 + [p4r.WriteRequest.ROLLBACK_ON_ERROR, p4r.WriteRequest.DATAPLANE_ATOMIC]
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches=st.lists(st.tuples(st.lists(updates(), max_size=8), atomicities), min_size=1, max_size=4))
@example(
    batches=[
        ([p4r.Update(type=p4r.Update.INSERT, entity=table(exact_entry(1)))] * 2, p4r.WriteRequest.ROLLBACK_ON_ERROR)
    ]
)
@example(batches=[([p4r.Update(type=p4r.Update.INSERT, entity=table(route_entry(1 << 127, 1)))] * 2, 2)])
def test_requests_fare_alike(
    pair: Pair, batches: list[tuple[list[p4r.Update], p4r.WriteRequest.Atomicity.ValueType]]
) -> None:
    pair.reset()
    for batch, atomicity in batches:
        request = pair.natively.write_request([], atomicity)
        request.updates.extend(batch)
        pair.check(request)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    batch=st.lists(updates(), min_size=1, max_size=4),
    changes=st.lists(
        st.tuples(st.integers(0, 400), st.integers(0, 255), st.sampled_from(["set", "delete", "insert"])),
        min_size=1,
        max_size=3,
    ),
)
@example(batch=[p4r.Update()], changes=[(0, 0xFF, "insert"), (0, 1, "insert"), (0, 6 << 3 | 2, "insert")])  # the role
def test_requests_with_changed_bytes_fare_alike(
    pair: Pair, batch: list[p4r.Update], changes: list[tuple[int, int, str]]
) -> None:
    pair.reset()
    request = pair.natively.write_request([])
    request.updates.extend(batch)
    data = bytearray(request.SerializeToString())
    for place, value, how in changes:
        at = place % (len(data) or 1)
        if how == "set" and data:
            data[at] = value
        elif how == "delete" and data:
            del data[at]
        elif how == "insert":
            data.insert(at, value)
    pair.check(bytes(data))


def test_ordinary_updates_do_not_reach_the_handlers(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.reset()
    pipeline = pair.natively.device._pipeline()
    monkeypatch.setattr(pipeline, "handler", lambda kind: pytest.fail(f"{kind} was written the long way"))
    ordinary = [exact_entry(i) for i in range(60)] + [route_entry(i << 64, 64) for i in range(1, 300)]
    ordinary[0].metadata = b"kept"
    request = pair.natively.write_request([(p4r.Update.INSERT, table(entry)) for entry in ordinary])
    pair.natively.device.write_bytes(request.SerializeToString())
    monkeypatch.undo()
    assert pair.natively.entries(TABLE_ID["exact_table"]) != []
    found = [e for e in pair.natively.entries(TABLE_ID["exact_table"]) if e.metadata]
    assert found == [ordinary[0]]


def test_a_batch_sees_the_pipeline_that_is_loaded(pair: Pair) -> None:
    codec = pair.natively.device._pipeline().codec
    assert codec is not None
    pair.natively.set_config(config=make_config(cookie=7))
    with pytest.raises(Exception, match="another pipeline has been loaded"):
        codec.batch(pair.natively.write_request([]).SerializeToString()).apply(0)
