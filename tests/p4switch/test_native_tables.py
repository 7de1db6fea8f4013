"""Look-ups in C against a list of entries in Python, through random inserts, changes and deletions."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from p4switch.dataplane import Action, Counter, DataplaneError, Entry, GroupMember, GroupRef, Match, MemberRef, Status
from p4switch.native import NativeDataplane
from tests.p4switch.bmv2_builder import Document, assign, ref

KEY = {"a": 8, "b": 12, "c": 16, "pad": 4, "d": 128}
KINDS = {
    "exact": {"a": "exact", "c": "exact", "d": "exact"},
    "lpm": {"a": "exact", "d": "lpm"},
    "ternary": {"a": "exact", "b": "ternary", "d": "ternary"},
    "range": {"a": "exact", "b": "ternary", "c": "range", "d": "lpm"},
}
SIZE = 400


def document() -> bytes:
    program = Document(headers={"in": list(KEY.items()), "out": [(name, 16) for name in [*KINDS, "selected"]]})
    for name, key in KINDS.items():
        hit = program.action(
            f"set_{name}", [("value", 16)], [assign(ref("out", name), {"type": "runtime_data", "value": 0})]
        )
        miss = program.action("NoAction", [], [])
        program.table(
            f"t.{name}",
            name,
            [(kind, "in", field) for field, kind in key.items()],
            [miss, hit],
            max_size=SIZE,
            with_counters=True,
        )
    chosen = program.action(
        "set_selected", [("value", 16)], [assign(ref("out", "selected"), {"type": "runtime_data", "value": 0})]
    )
    program.table(
        "t.select",
        "exact",
        [("exact", "in", "a")],
        [program.action("NoAction", [], []), chosen],
        type="indirect_ws",
        action_profile="profile",
    )
    encoded = program.to_json()
    encoded["pipelines"][0]["action_profiles"] = [
        {
            "name": "profile",
            "id": 0,
            "max_size": 8,
            "selector": {"algo": "identity", "input": [{"type": "field", "value": ["in", "c"]}]},
        }
    ]

    return json.dumps(encoded).encode()


@pytest.fixture
def dataplane(module_dataplane: NativeDataplane) -> NativeDataplane:
    module_dataplane.load(document())
    return module_dataplane


@pytest.fixture(scope="module")
def module_dataplane() -> Iterator[NativeDataplane]:
    dataplane = NativeDataplane()
    yield dataplane
    dataplane.close()


@dataclass
class Row:
    """An entry of the reference: per field (value, mask) or (low, high)."""

    fields: dict[str, tuple[int, int]]
    priority: int
    value: int
    order: int

    def matches(self, key: dict[str, str], packet: dict[str, int]) -> bool:
        for name, (first, second) in self.fields.items():
            if key[name] == "range":
                if not first <= packet[name] <= second:
                    return False
            elif packet[name] & second != first:
                return False
        return True

    def match(self, masked: bool, prioritised: bool) -> Match:
        sizes = {name: (KEY[name] + 7) // 8 for name in self.fields}
        value = b"".join(first.to_bytes(sizes[name], "big") for name, (first, _) in self.fields.items())
        mask = b"".join(second.to_bytes(sizes[name], "big") for name, (_, second) in self.fields.items())
        return Match(value, mask if masked else b"", self.priority if prioritised else 0)

    def identity(self) -> tuple[object, ...]:
        return (*self.fields.items(), self.priority)


def random_row(rng: random.Random, kind: str, order: int) -> Row:
    fields: dict[str, tuple[int, int]] = {}
    for name, match in KINDS[kind].items():
        ones = (1 << KEY[name]) - 1
        value = rng.choice((rng.getrandbits(KEY[name]), rng.getrandbits(3)))
        if match == "exact":
            fields[name] = (rng.getrandbits(2) if name == "a" else value & 7, ones)
        elif match == "lpm":
            mask = ones ^ (ones >> rng.choice((0, 1, 8, 64, 96, 100, 125, 128, rng.randrange(129))))
            fields[name] = (value & mask, mask)
        elif match == "ternary":
            mask = rng.choice((0, ones, 0xF0 & ones, 7, rng.getrandbits(KEY[name])))
            fields[name] = (value & mask, mask)
        else:
            low, high = sorted((rng.getrandbits(4), rng.choice((rng.getrandbits(4), rng.getrandbits(16)))))
            fields[name] = rng.choice(((low, high), (0, ones), (low, low), (8, 15)))
    return Row(fields, rng.randrange(1, 6) if kind in ("ternary", "range") else 0, rng.randrange(1, 1 << 16), order)


def best(kind: str, rows: list[Row], packet: dict[str, int]) -> Row | None:
    hits = [row for row in rows if row.matches(KINDS[kind], packet)]
    if kind == "lpm":
        return max(hits, key=lambda row: row.fields["d"][1].bit_count(), default=None)
    return min(hits, key=lambda row: (-row.priority, row.order), default=None)


def packet_bytes(packet: dict[str, int]) -> bytes:
    packed = 0
    for name, width in KEY.items():
        packed = packed << width | packet.get(name, 0)
    return packed.to_bytes(sum(KEY.values()) // 8, "big")


@pytest.mark.parametrize("kind", KINDS)
def test_look_ups_agree_with_a_list(dataplane: NativeDataplane, kind: str) -> None:
    rng = random.Random(kind)
    rows: list[Row] = []
    masked, prioritised = kind != "exact", kind in ("ternary", "range")
    table, slot = f"t.{kind}", list(KINDS).index(kind)
    for step in range(900):
        row = random_row(rng, kind, step)
        action = Action(f"set_{kind}", row.value.to_bytes(2, "big"))
        known = next((other for other in rows if other.identity() == row.identity()), None)
        match rng.randrange(5):
            case 0 if rows:
                victim = rows.pop(rng.randrange(len(rows)))
                dataplane.delete_entry(table, victim.match(masked, prioritised))
            case 1 if known is not None:
                dataplane.modify_entry(table, row.match(masked, prioritised), action)
                known.value = row.value
            case _:
                if known is not None or len(rows) == SIZE:
                    status = Status.ALREADY_EXISTS if known is not None else Status.RESOURCE_EXHAUSTED
                    with pytest.raises(DataplaneError) as caught:
                        dataplane.insert_entry(table, row.match(masked, prioritised), action)
                    assert caught.value.status is status
                    assert repr(table) in str(caught.value)
                else:
                    dataplane.insert_entry(table, row.match(masked, prioritised), action)
                    rows.append(row)
        source = rng.choice(rows).fields if rows and rng.random() < 0.7 else {}
        packet = {name: source[name][0] if name in source else rng.getrandbits(width) for name, width in KEY.items()}
        packet["pad"] = 0
        ((_, out),) = dataplane.inject(0, packet_bytes(packet) + bytes(2 * len(KINDS) + 2))
        at = sum(KEY.values()) // 8 + 2 * slot
        expected = best(kind, rows, packet)
        assert int.from_bytes(out[at : at + 2], "big") == (expected.value if expected else 0), (step, packet)

    read = {(entry.match, entry.action) for entry in dataplane.read_entries(table)}
    assert read == {
        (row.match(masked, prioritised), Action(f"set_{kind}", row.value.to_bytes(2, "big"))) for row in rows
    }


@pytest.mark.parametrize("kind", ["lpm", "ternary", "range"])
def test_masks_come_and_go(dataplane: NativeDataplane, kind: str) -> None:
    """Few masks are a list and many have an index, which is made anew now and then: all the ways from one to the other."""
    rng = random.Random(f"{kind} waves")
    rows: list[Row] = []
    table, slot = f"t.{kind}", list(KINDS).index(kind)
    prioritised, order = kind != "lpm", 0
    at = sum(KEY.values()) // 8 + 2 * slot
    for goal in (SIZE, 5, 60, 15, SIZE, 0, 40):
        while len(rows) != goal:
            order += 1
            if len(rows) < goal:
                row = random_row(rng, kind, order)
                if any(other.identity() == row.identity() for other in rows):
                    continue
                dataplane.insert_entry(
                    table, row.match(True, prioritised), Action(f"set_{kind}", row.value.to_bytes(2, "big"))
                )
                rows.append(row)
            else:
                victim = rows.pop(rng.randrange(len(rows)))
                dataplane.delete_entry(table, victim.match(True, prioritised))
            source = rng.choice(rows).fields if rows and order % 4 else {}
            packet = {
                name: source[name][0] if name in source else rng.getrandbits(width) for name, width in KEY.items()
            }
            packet["pad"] = 0
            ((_, out),) = dataplane.inject(0, packet_bytes(packet) + bytes(2 * len(KINDS) + 2))
            expected = best(kind, rows, packet)
            assert int.from_bytes(out[at : at + 2], "big") == (expected.value if expected else 0), (order, packet)
        read = {(entry.match, entry.action) for entry in dataplane.read_entries(table)}
        assert read == {
            (row.match(True, prioritised), Action(f"set_{kind}", row.value.to_bytes(2, "big"))) for row in rows
        }


def test_masks_come_and_go_under_packets(dataplane: NativeDataplane) -> None:
    """A packet meets the entry that is always there, or the better one of the moment, while the index grows and shrinks."""
    base = packet_bytes({"a": 1, "b": 0x5A5, "d": 77})
    at = len(base) + 2 * list(KINDS).index("ternary")
    ones = (1 << 128) - 1

    def match(mask_d: int, priority: int) -> Match:
        return Match(b"\1\0\0" + (77 & mask_d).to_bytes(16, "big"), b"\xff\0\0" + mask_d.to_bytes(16, "big"), priority)

    dataplane.insert_entry("t.ternary", match(0, 1), Action("set_ternary", b"\0\1"))
    stop = threading.Event()
    seen: set[bytes] = set()

    def watch() -> None:
        while not stop.is_set():
            ((_, out),) = dataplane.inject(0, base + bytes(10))
            seen.add(out[at : at + 2])

    watchers = [threading.Thread(target=watch) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    rng = random.Random(9)
    for _ in range(12):
        matches = [match(rng.getrandbits(128) & ones, rng.randrange(2, 9)) for _ in range(100)]
        for item in matches:
            dataplane.insert_entry("t.ternary", item, Action("set_ternary", item.priority.to_bytes(2, "big")))
        for item in matches:
            dataplane.delete_entry("t.ternary", item)
    stop.set()
    for watcher in watchers:
        watcher.join()
    assert len(seen) > 1
    assert seen <= {priority.to_bytes(2, "big") for priority in range(1, 9)}


def exact(a: int, c: int, d: int) -> Match:
    return Match(a.to_bytes(1, "big") + c.to_bytes(2, "big") + d.to_bytes(16, "big"))


def test_counter_survives_modify_and_counts_hits(dataplane: NativeDataplane) -> None:
    match = exact(1, 2, 3)
    frame = packet_bytes({"a": 1, "c": 2, "d": 3}) + bytes(10)
    dataplane.insert_entry("t.exact", match, Action("set_exact", b"\0\1"))
    dataplane.inject(0, frame)
    dataplane.modify_entry("t.exact", match, Action("set_exact", b"\0\2"))
    dataplane.inject(0, frame)
    dataplane.inject(0, packet_bytes({"a": 1, "c": 2, "d": 4}) + bytes(10))
    assert dataplane.read_entry("t.exact", match) == Entry(
        match, Action("set_exact", b"\0\2"), Counter(2, 2 * len(frame))
    )
    dataplane.write_direct_counter("t.exact", match, Counter(7, 8))
    dataplane.inject(0, frame)
    entry = dataplane.read_entry("t.exact", match)
    assert entry is not None
    assert entry.counter == Counter(8, 8 + len(frame))


def test_full_table_names_itself_and_its_size(dataplane: NativeDataplane) -> None:
    for i in range(SIZE):
        dataplane.insert_entry("t.exact", exact(1, i, 0), Action("set_exact", b"\0\1"))
    with pytest.raises(DataplaneError, match=rf"'t\.exact' is full: its size is {SIZE}") as caught:
        dataplane.insert_entry("t.exact", exact(2, 0, 0), Action("set_exact", b"\0\1"))
    assert caught.value.status is Status.RESOURCE_EXHAUSTED
    dataplane.delete_entry("t.exact", exact(1, 5, 0))
    dataplane.insert_entry("t.exact", exact(2, 0, 0), Action("set_exact", b"\0\1"))


def test_selector_takes_the_nth_active_member(dataplane: NativeDataplane) -> None:
    def selected(c: int) -> int:
        ((_, out),) = dataplane.inject(0, packet_bytes({"a": 1, "c": c}) + bytes(10))
        return int.from_bytes(out[-2:], "big")

    for member in (3, 1, 2):
        dataplane.insert_member("profile", member, Action("set_selected", bytes([0, 100 + member])))
    dataplane.insert_group("profile", 7, [GroupMember(2), GroupMember(1, weight=2), GroupMember(3, watch_port=9)])
    dataplane.insert_entry("t.select", Match(b"\1"), GroupRef(7))
    # By member id, as often as the weight; the member that watches a port that is down is left out.
    assert [selected(c) for c in range(4)] == [101, 101, 102, 101]
    dataplane.modify_member("profile", 1, Action("set_selected", b"\0\7"))
    assert selected(0) == 7
    dataplane.modify_group("profile", 7, [])
    assert selected(0) == 0, "an empty group is a miss"
    dataplane.modify_entry("t.select", Match(b"\1"), MemberRef(3))
    assert selected(5) == 103
    with pytest.raises(DataplaneError, match="member 3 is in use"):
        dataplane.delete_member("profile", 3)
    dataplane.delete_member("profile", 1)
    with pytest.raises(DataplaneError, match="has no member 1"):
        dataplane.modify_entry("t.select", Match(b"\1"), MemberRef(1))
    assert [ident for ident, _ in dataplane.read_members("profile")] == [2, 3]
    assert list(dataplane.read_groups("profile")) == [(7, [])]


def test_a_failed_load_keeps_the_running_pipeline(dataplane: NativeDataplane) -> None:
    dataplane.insert_entry("t.exact", exact(1, 2, 3), Action("set_exact", b"\0\1"))
    with pytest.raises(DataplaneError):
        dataplane.load(b"{}")
    assert len(list(dataplane.read_entries("t.exact"))) == 1


def test_writes_while_packets_flow_are_seen_whole(dataplane: NativeDataplane) -> None:
    """Each packet meets the old or the new arguments of an entry, never none and never a mixture."""
    pairs = [bytes([value]) * 2 for value in range(1, 256)]
    match = exact(1, 2, 3)
    frame = packet_bytes({"a": 1, "c": 2, "d": 3}) + bytes(10)
    dataplane.insert_entry("t.exact", match, Action("set_exact", pairs[0]))
    stop = threading.Event()
    seen: set[bytes] = set()

    def watch() -> None:
        at = sum(KEY.values()) // 8
        while not stop.is_set():
            ((_, out),) = dataplane.inject(0, frame)
            seen.add(out[at : at + 2])

    watchers = [threading.Thread(target=watch) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    rng = random.Random(5)
    for step in range(3000):
        dataplane.modify_entry("t.exact", match, Action("set_exact", rng.choice(pairs)))
        other = exact(2, step % 300, 0)  # grows and shrinks the table under the watchers
        if step % 600 < 300:
            dataplane.insert_entry("t.exact", other, Action("set_exact", b"\0\1"))
        else:
            dataplane.delete_entry("t.exact", other)
    stop.set()
    for watcher in watchers:
        watcher.join()
    assert len(seen) > 1
    assert seen <= set(pairs)
