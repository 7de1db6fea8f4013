"""Table entries through the service: what is accepted, what is refused with which words, and what is read back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p4base.messages import p4r
from p4switch.service.errors import BatchError, Code
from tests.p4switch.harness import Harness, in_order, table, tables
from tests.p4switch.programs import (
    ACTION_ID,
    TABLE_ID,
    acl_entry,
    exact_entry,
    number,
    route_entry,
    set_forward,
)

FULL = (1 << 128) - 1


def refusal(write: Callable[[], object]) -> tuple[Code, str]:
    """The code and sentence with which a single update was refused."""
    with pytest.raises(BatchError) as caught:
        write()
    (error,) = caught.value.errors
    assert error is not None
    return error.code, str(error)


def test_entry_is_read_back_as_it_was_written(switch: Harness) -> None:
    entries = [
        exact_entry(0, 0, 0),
        exact_entry((1 << 48) - 1, 511, 511),
        route_entry(0x20010DB8 << 96, 32),
        route_entry(FULL, 128),
        route_entry(0, 0),
        acl_entry(1),
        acl_entry(2**31 - 1, src=(0x0A000000, 0xFF000000), dport=(80, 90), port=0),
        acl_entry(7, src=(0, 1), dport=(0, 65534)),
    ]
    entries[0].metadata = b"owner"
    entries[1].controller_metadata = 99
    switch.insert(*tables(entries))
    for name in ("exact_table", "route_table", "acl_table"):
        wanted = [e for e in entries if e.table_id == TABLE_ID[name]]
        assert in_order(switch.entries(TABLE_ID[name])) == in_order(wanted)


def test_leading_zeros_and_any_order_are_accepted_and_read_back_canonically(switch: Harness) -> None:
    entry = p4r.TableEntry(table_id=TABLE_ID["exact_table"])
    entry.match.add(field_id=2).exact.value = b"\0\0\0\x01"
    entry.match.add(field_id=1).exact.value = b"\0" * 9 + b"\x05"
    entry.action.action.action_id = ACTION_ID["forward"]
    entry.action.action.params.add(param_id=2, value=b"\0\0\0\0\0\0\0\x07")
    entry.action.action.params.add(param_id=1, value=b"\0\x02")
    switch.insert(table(entry))
    expected = exact_entry(5, 1)
    expected.action.action.params[1].value = b"\x07"
    assert switch.entries(entry.table_id) == [expected]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 255),
            st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 2**32 - 1)) | st.none(),
            st.tuples(st.integers(0, 65535), st.integers(0, 65535)) | st.none(),
            st.integers(0, 511) | st.none(),
            st.integers(1, 2**31 - 1),
        ),
        max_size=20,
    )
)
def test_any_legal_acl_entry_is_read_back(
    rows: list[tuple[int, tuple[int, int] | None, tuple[int, int] | None, int | None, int]],
) -> None:
    switch = Harness()
    wanted = {}
    for proto, src, dport, port, priority in rows:
        fields: dict[str, tuple[int, int] | int] = {"proto": proto}
        if src is not None:
            fields["src"] = (src[0] & src[1], src[1])
        if dport is not None and (min(dport), max(dport)) != (0, 65535):
            fields["dport"] = (min(dport), max(dport))
        if port is not None:
            fields["port"] = port
        entry = acl_entry(priority, **fields)
        key = p4r.TableEntry(match=entry.match, priority=priority).SerializeToString(deterministic=True)
        if key not in wanted:
            wanted[key] = entry
            switch.insert(table(entry))
        else:
            assert refusal(lambda e=entry: switch.insert(table(e)))[0] == Code.ALREADY_EXISTS  # type: ignore[misc]
    assert switch.entries(TABLE_ID["acl_table"]) == list(wanted.values())
    for entry in wanted.values():
        assert switch.read(
            table(p4r.TableEntry(table_id=entry.table_id, match=entry.match, priority=entry.priority))
        ) == [table(entry)]
    switch.delete(*tables(wanted.values()))
    assert switch.entries(TABLE_ID["acl_table"]) == []


def _edit(entry: p4r.TableEntry, edit: Callable[[p4r.TableEntry], None]) -> p4r.TableEntry:
    edit(entry)
    return entry


def _set(field: int, kind: str, **values: object) -> Callable[[p4r.TableEntry], None]:
    def edit(entry: p4r.TableEntry) -> None:
        match = entry.match[field]
        match.ClearField("exact")
        part = getattr(match, kind)
        for name, value in values.items():
            setattr(part, name, value)

    return edit


BAD_ENTRIES: list[tuple[str, p4r.TableEntry, Code, str]] = [
    ("too-wide", _edit(exact_entry(1), _set(1, "exact", value=b"\x02\x00")), Code.INVALID_ARGUMENT, "9 bits"),
    (
        "too-wide-long",
        _edit(exact_entry(1), _set(0, "exact", value=b"\x01" + b"\0" * 6)),
        Code.INVALID_ARGUMENT,
        "48 bits",
    ),
    ("empty", _edit(exact_entry(1), _set(0, "exact", value=b"")), Code.INVALID_ARGUMENT, "empty byte string"),
    (
        "wrong-kind",
        _edit(exact_entry(1), _set(0, "ternary", value=b"\x01", mask=b"\x01")),
        Code.INVALID_ARGUMENT,
        "ternary, expected exact",
    ),
    ("missing-exact", _edit(exact_entry(1), lambda e: e.match.pop() and None), Code.INVALID_ARGUMENT, "hdr.port"),
    ("twice", _edit(exact_entry(1), lambda e: e.match.append(e.match[0])), Code.INVALID_ARGUMENT, "given twice"),
    (
        "unknown-field",
        _edit(exact_entry(1), lambda e: setattr(e.match[0], "field_id", 9)),
        Code.INVALID_ARGUMENT,
        "no key field with id 9",
    ),
    (
        "priority-unwanted",
        _edit(exact_entry(1), lambda e: setattr(e, "priority", 1)),
        Code.INVALID_ARGUMENT,
        "priority must be 0",
    ),
    ("priority-missing", acl_entry(0), Code.INVALID_ARGUMENT, "needs a priority"),
    ("lpm-bits", route_entry(1, 64), Code.INVALID_ARGUMENT, "beyond its prefix"),
    (
        "lpm-long",
        _edit(route_entry(0, 128), _set(0, "lpm", prefix_len=129)),
        Code.INVALID_ARGUMENT,
        "expected 1 to 128",
    ),
    ("lpm-zero", _edit(route_entry(0, 8), _set(0, "lpm", prefix_len=0)), Code.INVALID_ARGUMENT, "omit the field"),
    ("ternary-bits", acl_entry(src=(3, 2)), Code.INVALID_ARGUMENT, "outside its mask"),
    ("ternary-any", acl_entry(src=(0, 0)), Code.INVALID_ARGUMENT, "omit the field"),
    ("range-order", acl_entry(dport=(2, 1)), Code.INVALID_ARGUMENT, "above the high bound"),
    ("range-any", acl_entry(dport=(0, 65535)), Code.INVALID_ARGUMENT, "omit the field"),
    (
        "unknown-table",
        _edit(exact_entry(1), lambda e: setattr(e, "table_id", 7)),
        Code.INVALID_ARGUMENT,
        "no table has the id 0x00000007",
    ),
    (
        "unknown-action",
        _edit(exact_entry(1), lambda e: setattr(e.action.action, "action_id", 7)),
        Code.INVALID_ARGUMENT,
        "no action with id 0x00000007",
    ),
    (
        "default-only-action",
        _edit(exact_entry(1), lambda e: e.action.action.CopyFrom(p4r.Action(action_id=ACTION_ID["only_default"]))),
        Code.PERMISSION_DENIED,
        "default action",
    ),
    ("no-action", _edit(exact_entry(1), lambda e: e.ClearField("action")), Code.INVALID_ARGUMENT, "action is unset"),
    (
        "member-for-direct-table",
        _edit(exact_entry(1), lambda e: setattr(e.action, "action_profile_member_id", 1)),
        Code.INVALID_ARGUMENT,
        "expected an action",
    ),
    (
        "param-missing",
        _edit(exact_entry(1), lambda e: e.action.action.params.pop() and None),
        Code.INVALID_ARGUMENT,
        "parameter mac",
    ),
    (
        "param-wide",
        _edit(exact_entry(1), lambda e: setattr(e.action.action.params[0], "value", b"\xff\xff")),
        Code.INVALID_ARGUMENT,
        "parameter port (9 bits)",
    ),
    (
        "param-unknown",
        _edit(exact_entry(1), lambda e: setattr(e.action.action.params[0], "param_id", 5)),
        Code.INVALID_ARGUMENT,
        "no parameter with id 5",
    ),
    ("is-const", _edit(exact_entry(1), lambda e: setattr(e, "is_const", True)), Code.INVALID_ARGUMENT, "is_const"),
    (
        "idle-timeout",
        _edit(exact_entry(1), lambda e: setattr(e, "idle_timeout_ns", 1)),
        Code.INVALID_ARGUMENT,
        "idle timeouts",
    ),
    (
        "meter",
        _edit(exact_entry(1), lambda e: e.meter_config.SetInParent()),
        Code.INVALID_ARGUMENT,
        "no direct meter",
    ),
    (
        "counter",
        _edit(route_entry(0, 8), lambda e: e.counter_data.SetInParent()),
        Code.INVALID_ARGUMENT,
        "no direct counter",
    ),
    ("keyless", p4r.TableEntry(table_id=TABLE_ID["keyless_table"]), Code.INVALID_ARGUMENT, "has no key"),
    (
        "const-table",
        p4r.TableEntry(table_id=TABLE_ID["const_table"], match=[p4r.FieldMatch(field_id=1)]),
        Code.INVALID_ARGUMENT,
        "hdr.proto",
    ),
]


@pytest.mark.parametrize(
    ("entry", "code", "words"), [row[1:] for row in BAD_ENTRIES], ids=[row[0] for row in BAD_ENTRIES]
)
def test_bad_entry_is_refused_and_leaves_nothing(
    switch: Harness, entry: p4r.TableEntry, code: Code, words: str
) -> None:
    given, message = refusal(lambda: switch.insert(table(entry)))
    assert given == code
    assert words in message
    if entry.table_id in TABLE_ID.values():
        assert switch.entries(entry.table_id) == [] or entry.table_id == TABLE_ID["const_table"]


def test_insert_modify_delete_report_what_is_there(switch: Harness) -> None:
    entry = exact_entry(1)
    assert refusal(lambda: switch.modify(table(entry)))[0] == Code.NOT_FOUND
    assert refusal(lambda: switch.delete(table(entry)))[0] == Code.NOT_FOUND
    switch.insert(table(entry))
    assert refusal(lambda: switch.insert(table(entry)))[0] == Code.ALREADY_EXISTS
    changed = exact_entry(1, out=9)
    changed.metadata = b"new"
    switch.modify(table(changed))
    assert switch.entries(entry.table_id) == [changed]
    switch.delete(table(p4r.TableEntry(table_id=entry.table_id, match=entry.match)))
    switch.insert(table(entry))
    assert switch.entries(entry.table_id) == [entry], "the metadata of a deleted entry must not come back"


def test_full_table_is_resource_exhausted(switch: Harness) -> None:
    switch.insert(*tables(exact_entry(i) for i in range(64)))
    code, message = refusal(lambda: switch.insert(table(exact_entry(64))))
    assert code == Code.RESOURCE_EXHAUSTED
    assert "ingress.exact_table" in message


def test_no_write_says_that_an_entry_is_constant(switch: Harness) -> None:
    """Not even a deletion, of which all but the key is ignored."""
    switch.insert(table(exact_entry(1)))
    constant = exact_entry(1)
    constant.is_const = True
    for write in (switch.modify, switch.delete):
        code, message = refusal(lambda write=write: write(table(constant)))  # type: ignore[misc]
        assert (code, "is_const" in message) == (Code.INVALID_ARGUMENT, True)
    assert switch.entries(constant.table_id) == [exact_entry(1)]


def test_externs_are_none(switch: Harness) -> None:
    assert switch.read(p4r.Entity(extern_entry=p4r.ExternEntry())) == []
    named = p4r.Entity(extern_entry=p4r.ExternEntry(extern_type_id=0x81))
    assert refusal(lambda: switch.read(named))[0] == Code.UNIMPLEMENTED
    assert refusal(lambda: switch.insert(named))[0] == Code.UNIMPLEMENTED


def test_modify_without_action_keeps_it(switch: Harness) -> None:
    switch.insert(table(exact_entry(1, out=5)))
    update = exact_entry(1)
    update.ClearField("action")
    update.counter_data.packet_count = 3
    switch.modify(table(update))
    request = p4r.TableEntry(table_id=TABLE_ID["exact_table"])
    request.counter_data.SetInParent()
    (read,) = switch.read(table(request))
    expected = exact_entry(1, out=5)
    expected.counter_data.packet_count = 3
    assert read.table_entry == expected


def test_const_entries_are_readable_and_immutable(switch: Harness) -> None:
    first, second = in_order(switch.entries(TABLE_ID["const_table"]))
    assert first.is_const
    assert [first.match[0].exact.value, second.match[0].exact.value] == [b"\x06", b"\x11"]
    assert second.action.action.params[0].value == b"\x11"
    (default,) = switch.read(table(p4r.TableEntry(table_id=first.table_id, is_default_action=True)))
    assert default.table_entry.is_const
    entry = p4r.TableEntry(table_id=first.table_id, match=first.match)
    assert refusal(lambda: switch.delete(table(entry)))[0] == Code.PERMISSION_DENIED
    entry.action.CopyFrom(first.action)
    assert refusal(lambda: switch.modify(table(entry)))[0] == Code.PERMISSION_DENIED
    assert refusal(lambda: switch.insert(table(entry)))[0] == Code.PERMISSION_DENIED


def test_default_entry_is_modified_and_reset(switch: Harness) -> None:
    entry = p4r.TableEntry(table_id=TABLE_ID["keyless_table"], is_default_action=True)
    (initial,) = switch.read(table(entry))
    assert initial.table_entry.action.action.action_id == ACTION_ID["drop"]
    changed = p4r.TableEntry(table_id=entry.table_id, is_default_action=True, metadata=b"mine")
    set_forward(changed.action.action, 4)
    switch.modify(table(changed))
    assert switch.read(table(entry)) == [table(changed)]
    switch.modify(table(entry))
    assert switch.read(table(entry)) == [initial]
    assert refusal(lambda: switch.insert(table(changed)))[0] == Code.INVALID_ARGUMENT
    assert refusal(lambda: switch.delete(table(changed)))[0] == Code.INVALID_ARGUMENT
    changed.action.action.CopyFrom(p4r.Action(action_id=ACTION_ID["only_entry"]))
    assert refusal(lambda: switch.modify(table(changed)))[0] == Code.PERMISSION_DENIED
    changed.table_id = TABLE_ID["const_table"]
    assert refusal(lambda: switch.modify(table(changed)))[0] == Code.PERMISSION_DENIED


def test_reads_filter(switch: Harness) -> None:
    first, second, third = acl_entry(5), acl_entry(6, port=1), acl_entry(6, port=2)
    third.action.action.action_id = ACTION_ID["only_entry"]
    second.metadata = b"a"
    switch.insert(*tables([first, second, third]), table(exact_entry(1)))
    acl = TABLE_ID["acl_table"]

    def read(**fields: object) -> list[p4r.TableEntry]:
        request = p4r.TableEntry(table_id=acl, **fields)  # type: ignore[arg-type]
        return in_order(e.table_entry for e in switch.read(table(request)))

    assert read(priority=6) == in_order([second, third])
    assert read(metadata=b"a") == [second]
    assert read(action=p4r.TableAction(action=p4r.Action(action_id=ACTION_ID["only_entry"]))) == [third]
    assert read(match=first.match, priority=5) == [first]
    assert read(match=first.match, priority=6) == []
    again = acl_entry(8)
    switch.insert(table(again))
    assert read(match=first.match) == in_order([first, again])
    switch.delete(table(again))
    everything = switch.read(table(p4r.TableEntry()))
    assert len(everything) == 3 + 1 + 2, "all tables, constant ones included, default entries excluded"


def test_counters_are_given_on_request_only(switch: Harness) -> None:
    entry = exact_entry(1)
    entry.counter_data.packet_count, entry.counter_data.byte_count = 2, 120
    switch.insert(table(entry))
    (without,) = switch.entries(entry.table_id)
    assert not without.HasField("counter_data")
    request = p4r.TableEntry(table_id=entry.table_id, counter_data=p4r.CounterData())
    assert switch.read(table(request)) == [table(entry)]
    direct = p4r.Entity()
    direct.direct_counter_entry.table_entry.table_id = entry.table_id
    direct.direct_counter_entry.table_entry.match.extend(entry.match)
    (read,) = switch.read(direct)
    assert read.direct_counter_entry.data == entry.counter_data
    direct.direct_counter_entry.data.packet_count = 9
    switch.modify(direct)
    (read,) = switch.read(direct)
    assert (read.direct_counter_entry.data.packet_count, read.direct_counter_entry.data.byte_count) == (9, 0)
    direct.direct_counter_entry.table_entry.match[0].exact.value = number(77)
    assert refusal(lambda: switch.modify(direct))[0] == Code.NOT_FOUND
    with pytest.raises(BatchError, match="NOT_FOUND"):
        switch.read(direct)
