"""Corners of the BMv2 JSON that compilers seldom write: P4_14's variable length, saturation, stacks of unions, masked value sets,
division of any width and sign."""

from __future__ import annotations

import random

import pytest

from p4switch.dataplane import DataplaneError, Match, ValueSetField
from p4switch.native import NativeDataplane
from tests.p4switch.bmv2_builder import Document, Json, assign, hexstr, op, ref


@pytest.fixture(scope="module")
def plane() -> NativeDataplane:
    return NativeDataplane()


def one(plane: NativeDataplane, frame: bytes) -> bytes:
    ((_, out),) = plane.inject(1, frame)
    return out


def local(index: int) -> Json:
    return {"type": "local", "value": index}


def variable_length(length: Json) -> Document:
    """A header of four bits of length in words, four of nothing, options, and a byte behind; then a byte for the result."""
    document = Document({"option": [("length", 4), ("rest", 4), ("data", 0), ("behind", 8)], "mark": [("seen", 8)]})
    document.action("note", [], [assign(ref("mark", "seen"), op("&", ref("option", "behind"), hexstr(0xFF)))])
    document.table("all", "exact", [], [0])
    raw = document.to_json()
    raw["header_types"][0]["fields"][2] = ["data", "*"]
    raw["header_types"][0]["length_exp"] = length
    raw["header_types"][0]["max_length"] = 14
    document.extra = {"header_types": raw["header_types"]}
    return document


def test_p4_14_variable_length(plane: NativeDataplane) -> None:
    plane.load(variable_length(op("*", local(0), hexstr(32))).encode())
    for words in range(4):
        options = bytes(range(4 * words))
        frame = bytes([words << 4]) + options + b"\x77" + b"\0" + b"payload"
        assert one(plane, frame) == bytes([words << 4]) + options + b"\x77" + b"\x77" + b"payload"
    too_long = b"\x40" + bytes(40)
    assert one(plane, too_long) == too_long  # an error ends the parser, and nothing is extracted
    short = b"\x30abc"
    assert one(plane, short) == short


@pytest.mark.parametrize(("field", "words"), [(3, "in front"), (2, "in front"), (9, "no parameter")])
def test_p4_14_length_from_a_field_that_is_not_in_front(plane: NativeDataplane, field: int, words: str) -> None:
    with pytest.raises(DataplaneError, match=words):
        plane.load(variable_length(op("*", local(field), hexstr(8))).encode())


@pytest.mark.parametrize("signed", [False, True])
def test_saturating_fields(plane: NativeDataplane, signed: bool) -> None:
    document = Document(
        {"h": [("a", 16, signed), ("b", 16, signed), ("sum", 8, signed, True), ("less", 8, signed, True)]}
    )
    document.action(
        "compute",
        [],
        [
            assign(ref("h", "sum"), op("+", ref("h", "a"), ref("h", "b"))),
            assign(ref("h", "less"), op("-", ref("h", "a"), ref("h", "b"))),
        ],
    )
    document.table("all", "exact", [], [0])
    plane.load(document.encode())
    least, most = (-128, 127) if signed else (0, 255)
    for a, b in ((1, 2), (200, 100), (3, 5), (0x7000, 0x7000), (100, 27), (100, 28)):
        frame = a.to_bytes(2, "big") + b.to_bytes(2, "big") + bytes(2)
        out = one(plane, frame)
        found = [int.from_bytes(out[i : i + 1], "big", signed=signed) for i in (4, 5)]
        assert found == [min(max(a + b, least), most), min(max(a - b, least), most)]


def test_division_of_any_width_and_sign(plane: NativeDataplane) -> None:
    widths = [(8, False), (64, False), (100, False), (128, False), (200, False), (320, False), (16, True), (64, True)]
    fields = [(f"{name}{i}", width, signed) for i, (width, signed) in enumerate(widths) for name in "abqr"]
    document = Document({"h": fields})
    document.action(
        "compute",
        [],
        [
            assign(ref("h", f"{target}{i}"), op(sign, ref("h", f"a{i}"), ref("h", f"b{i}")))
            for i in range(len(widths))
            for target, sign in (("q", "/"), ("r", "%"))
        ],
    )
    document.table("all", "exact", [], [0])
    raw = document.to_json()
    pad = -sum(width for _, width, _ in fields) % 8
    if pad:
        raw["header_types"][0]["fields"].append(["pad", pad])
        document.extra = {"header_types": raw["header_types"]}
    plane.load(document.encode())
    rng = random.Random(7)
    for round_ in range(60):
        values: dict[str, int] = {}
        number, bits = 0, 0
        for name, width, signed in fields:
            value = 0
            if name[0] in "ab":
                value = rng.getrandbits(rng.randrange(1, width + 1))
                if name[0] == "b" and round_ == 0:
                    value = 0
                if round_ == 1 and signed:  # the least number by minus one
                    value = 1 << (width - 1) if name[0] == "a" else (1 << width) - 1
            values[name] = value - (1 << width) if signed and value >> (width - 1) else value
            number, bits = number << width | value, bits + width
        out = int.from_bytes(one(plane, (number << pad).to_bytes((bits + pad) // 8, "big")), "big") >> pad
        for name, width, _ in reversed(fields):
            found, out = out & ((1 << width) - 1), out >> width
            a, b = values[f"a{name[1:]}"], values[f"b{name[1:]}"]
            quotient = 0 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
            expected = {"q": quotient, "r": 0 if b == 0 else a - quotient * b}.get(name[0])
            if expected is not None:
                assert found == expected & ((1 << width) - 1), (name, width, a, b)


def test_value_set_with_a_mask(plane: NativeDataplane) -> None:
    """The key is masked, and must then be a member."""
    document = Document({"h": [("key", 16), ("mark", 8)]})
    document.action("nothing", [], [])
    document.table("all", "exact", [], [0])
    raw = document.to_json()
    start = raw["parsers"][0]["parse_states"][0]
    start["transition_key"] = [ref("h", "key")]
    start["transitions"].insert(0, {"type": "parse_vset", "value": "set", "mask": "0xff00", "next_state": "marked"})
    raw["parsers"][0]["parse_states"].append(
        {
            "name": "marked",
            "id": 1,
            "parser_ops": [{"op": "set", "parameters": [ref("h", "mark"), hexstr(0xAA)]}],
            "transition_key": [],
            "transitions": [{"type": "default", "value": None, "mask": None, "next_state": None}],
        }
    )
    document.extra = {
        "parsers": raw["parsers"],
        "parse_vsets": [{"name": "set", "id": 0, "compressed_bitwidth": 16}],
    }
    plane.load(document.encode())
    plane.write_value_set("set", [Match(b"\x12\x00"), Match(b"\x34\x56")], [ValueSetField(2)])
    marks = [one(plane, key + b"\0")[2] for key in (b"\x12\x99", b"\x12\x00", b"\x34\x56", b"\x13\x00")]
    assert marks == [0xAA, 0xAA, 0, 0]


def test_stacks_of_unions_are_pushed_popped_and_copied(plane: NativeDataplane) -> None:
    """Three unions of a one-byte and a two-byte header, extracted as short, long, short."""
    document = Document({"order": [("what", 8)], "s": [("v", 8)], "l": [("v", 16)]})
    stack = {"type": "header_union_stack", "value": "stack"}
    other = {"type": "header_union_stack", "value": "other"}
    count = hexstr(1)
    document.action("push", [], [{"op": "push", "parameters": [stack, count]}])
    document.action("pop", [], [{"op": "pop", "parameters": [stack, count]}])
    document.action("pop_all", [], [{"op": "pop", "parameters": [stack, hexstr(9)]}])
    document.action("copy", [], [{"op": "assign_union_stack", "parameters": [other, stack]}])
    keys = [{"match_type": "exact", "key": f"0x{what:02x}"} for what in range(4)]
    document.table(
        "all",
        "exact",
        [("exact", "order", "what")],
        [0, 1, 2, 3],
        default_entry={"action_id": 0, "action_data": []},
        entries=[
            {"match_key": [key], "action_entry": {"action_id": number, "action_data": []}, "priority": 1}
            for number, key in enumerate(keys)
        ],
    )
    raw = document.to_json()
    instances = [(f"{name}[{i}].{member}", member) for name in ("stack", "other") for i in range(3) for member in "sl"]
    headers = [header for header in raw["headers"] if header["name"] not in ("s", "l")]
    headers += [
        {"name": name, "id": 100 + i, "header_type": kind, "metadata": False}
        for i, (name, kind) in enumerate(instances)
    ]
    extract = [
        {"op": "extract", "parameters": [{"type": "union_stack", "value": ["stack", member]}]} for member in "sls"
    ]
    raw["parsers"][0]["parse_states"][0]["parser_ops"] = [
        {"op": "extract", "parameters": [{"type": "regular", "value": "order"}]},
        *extract,
    ]
    document.extra = {
        "headers": headers,
        "parsers": raw["parsers"],
        "header_union_types": [{"name": "u", "id": 0, "headers": [["s", "s"], ["l", "l"]]}],
        "header_unions": [
            {
                "name": f"{name}[{i}]",
                "id": 3 * n + i,
                "union_type": "u",
                "header_ids": [100 + 6 * n + 2 * i, 101 + 6 * n + 2 * i],
            }
            for n, name in enumerate(("stack", "other"))
            for i in range(3)
        ],
        "header_union_stacks": [
            {"name": name, "id": n, "union_type": "u", "header_union_ids": [3 * n, 3 * n + 1, 3 * n + 2]}
            for n, name in enumerate(("stack", "other"))
        ],
        "deparsers": [{"name": "deparser", "id": 0, "order": ["order", *(name for name, _ in instances)]}],
    }
    plane.load(document.encode())
    content = b"A" + b"BB" + b"C"
    assert one(plane, b"\0" + content) == b"\0" + b"ABB"  # the last one is pushed out
    assert one(plane, b"\1" + content) == b"\1" + b"BBC"
    assert one(plane, b"\2" + content) == b"\2"
    assert one(plane, b"\3" + content) == b"\3" + content + content


def test_the_older_ipv4_checksum(plane: NativeDataplane) -> None:
    document = Document({"ip": [("a", 32), ("b", 48), ("sum", 16), ("c", 64)]})
    document.action("nothing", [], [])
    document.table("all", "exact", [], [0])
    document.extra = {"checksums": [{"name": "c", "id": 0, "target": ["ip", "sum"], "type": "ipv4"}]}
    plane.load(document.encode())
    head = bytes.fromhex("450000730000400040110000c0a80001c0a800c7")
    assert one(plane, head)[10:12] == bytes.fromhex("b861")


@pytest.mark.parametrize("in_front", [1, 4, 7, 8, 13, 64, 70])
def test_variable_length_within_a_byte(plane: NativeDataplane, in_front: int) -> None:
    """What is in front of a variable-length field need not be whole bytes: it is read, copied and written bit by bit."""
    behind = -in_front % 8 or 8
    document = Document({"option": [("front", in_front), ("data", 0), ("behind", behind)], "mark": [("seen", 72)]})
    document.action("note", [], [assign(ref("mark", "seen"), op("+", ref("option", "front"), ref("option", "behind")))])
    document.table("all", "exact", [], [0])
    raw = document.to_json()
    raw["header_types"][0]["fields"][1] = ["data", "*"]
    raw["header_types"][0]["length_exp"] = op("*", local(0), hexstr(8))
    raw["header_types"][0]["max_length"] = 40
    document.extra = {"header_types": raw["header_types"]}
    plane.load(document.encode())
    rng = random.Random(in_front)
    for size in (0, 1) if in_front == 1 else (0, 1, 2, 7):
        data = rng.randbytes(size)
        last = rng.getrandbits(behind)
        fixed = (in_front + behind) // 8
        bits = (size << 8 * size | int.from_bytes(data, "big")) << behind | last
        total = bits.to_bytes(fixed + size, "big")
        mark = (size + last).to_bytes(9, "big")
        assert one(plane, total + bytes(9) + b"payload") == total + mark + b"payload"


def test_mark_to_drop_of_a_copy(plane: NativeDataplane) -> None:
    """p4c copies the standard metadata for an action that has it as an `inout` parameter, and marks the copy."""
    document = Document(
        {"h": [("drop", 8), ("marked", 16)]}, {"copy": [("mcast_grp", 16), ("egress_spec", 9), ("_pad", 7)]}
    )
    document.action(
        "mark",
        [],
        [
            assign(ref("copy", "mcast_grp"), hexstr(5)),
            {"op": "mark_to_drop", "parameters": [{"type": "header", "value": "copy"}]},
            assign(ref("h", "marked"), op("+", ref("copy", "egress_spec"), ref("copy", "mcast_grp"))),
        ],
    )
    document.action("copy_back", [], [assign(ref("standard_metadata", "egress_spec"), ref("copy", "egress_spec"))])
    document.table("first", "exact", [], [0])
    document.table("second", "exact", [("exact", "h", "drop")], [0, 1])
    document.tables[-1]["entries"] = [
        {
            "match_key": [{"match_type": "exact", "key": "0x01"}],
            "action_entry": {"action_id": 1, "action_data": []},
            "priority": 1,
        }
    ]
    plane.load(document.encode())
    assert one(plane, bytes(3)) == b"\0" + (511).to_bytes(2, "big")
    assert plane.inject(1, b"\1\0\0") == []
