"""Compiled programs do what P4 says: packets through the native switch.

The packet is two headers of a (8 bits), b (8 bits), c (16 bits); the ingress under test works on them and sends the packet
back.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from p4switch.native.dataplane import NativeDataplane
from tests.p4compiler.programs import compile_source, v1model

PORT = 1


@pytest.fixture
def switch() -> Iterator[NativeDataplane]:
    dataplane = NativeDataplane()
    yield dataplane
    dataplane.close()


def headers(*fields: int) -> bytes:
    """a, b, c of h, then of g."""
    out = b""
    for a, b, c in (fields[:3], fields[3:]):
        out += bytes((a, b)) + c.to_bytes(2, "big")
    return out


Case = tuple[str, str, tuple[int, ...], tuple[int, ...]]
"""Declarations, ingress, packet in, packet out."""

CASES: dict[str, Case] = {
    "copies_in_and_out": (
        "void swap(inout bit<8> x, inout bit<8> y) { bit<8> t = x; x = y; y = t; }",
        "apply { swap(hdr.h.a, hdr.g.b); swap(hdr.h.c[15:8], hdr.h.c[7:0]); }",
        (1, 2, 0x0304, 5, 6, 7),
        (6, 2, 0x0403, 5, 1, 7),
    ),
    "reads_all_of_a_list_before_writing": (
        "struct pair_t { bit<8> x; bit<8> y; }",
        "apply { pair_t p = { hdr.h.a, hdr.h.b }; p = { p.y, p.x }; hdr.h.a = p.x; hdr.h.b = p.y;"
        " bit<8>[2] q = { 7, 8 }; q = { q[1], q[0] }; hdr.g.a = q[0]; hdr.g.b = q[1]; }",
        (1, 2, 0, 0, 0, 0),
        (2, 1, 0, 8, 7, 0),
    ),
    "hashes_the_bits_of_negative_constants": (
        "",
        "apply { hash(hdr.h.c, HashAlgorithm.crc16, 16w0, { hdr.h.a, -8s5, -12s3 }, 17w0x10000);"
        " hash(hdr.g.c, HashAlgorithm.crc16, 16w0, { hdr.h.a, 8w0xfb, 12w0xffd }, 17w0x10000);"
        " hdr.h.b = hdr.h.c == hdr.g.c ? 8w1 : 0; hdr.h.c = 0; hdr.g.c = 0; }",
        (1, 2, 3, 4, 5, 6),
        (1, 1, 0, 4, 5, 0),
    ),
    "evaluates_from_left_to_right": (
        "bit<8> bump(inout bit<8> v) { v = v + 1; return v; }",
        "apply { hdr.h.b = hdr.h.a + bump(hdr.h.a); hdr.g.a = bump(hdr.g.b) - bump(hdr.g.b); }",
        (3, 0, 0, 0, 9, 0),
        (4, 7, 0, 255, 11, 0),
    ),
    "stops_where_the_answer_is_known": (
        "bool touch(inout bit<8> v) { v = v + 1; return true; }",
        "apply { m.f = hdr.h.a == 1 && touch(hdr.h.b); m.f = hdr.h.a == 0 || touch(hdr.g.b); }",
        (0, 5, 0, 0, 5, 0),
        (0, 5, 0, 0, 5, 0),
    ),
    "wraps_and_keeps_signs": (
        "",
        """apply {
            hdr.h.a = hdr.h.a + 10;
            int<8> s = (int<8>)hdr.h.b;
            s = s >> 2;
            hdr.h.b = (bit<8>)s;
            if ((int<8>)hdr.g.a < 0) { hdr.g.b = 1; }
            hdr.g.c = (bit<16>)(bit<8>)(0 - hdr.g.a);
            hdr.h.c = hdr.h.c |+| 0xff00;
        }""",
        (250, 0xF0, 0x0200, 0xFF, 0, 0),
        (4, 0xFC, 0xFFFF, 0xFF, 1, 1),
    ),
    "shifts_by_anything": (
        "",
        "apply { hdr.h.c = hdr.h.c << hdr.h.a; hdr.g.c = hdr.g.c >> hdr.g.b; }",
        (200, 0, 0xFFFF, 0, 3, 0x8000),
        (200, 0, 0, 0, 3, 0x1000),
    ),
    "returns_from_the_middle": (
        "control inner(inout bit<8> v) { apply { if (v == 3) { return; } v = v + 1; } }",
        "inner() i; apply { i.apply(hdr.h.a); i.apply(hdr.g.a); hdr.h.b = 9; }",
        (3, 0, 0, 4, 0, 0),
        (3, 9, 0, 5, 0, 0),
    ),
    "exits_with_copies_out": (
        "",
        "action stop(inout bit<8> v) { v = 7; if (hdr.g.a == 1) { exit; } v = 8; } apply { stop(hdr.h.a); hdr.h.b = 1; }",
        (0, 0, 0, 1, 0, 0),
        (7, 0, 0, 1, 0, 0),
    ),
    "loops": (
        "",
        """apply {
            for (bit<8> k = 0; k < 10; k = k + 1) {
                if (k == 3) { continue; }
                if (k == 6) { break; }
                hdr.h.a = hdr.h.a + k;
            }
            for (bit<8> k in 250 .. 255) { hdr.h.b = hdr.h.b + 1; }
        }""",
        (0, 0, 0, 0, 0, 0),
        (12, 6, 0, 0, 0, 0),
    ),
    "const_entries_choose": (
        "",
        """
        action put(bit<8> v) { hdr.h.b = v; }
        table t {
            key = { hdr.h.a : ternary; hdr.h.c : range; }
            actions = { put; }
            default_action = put(1);
            const entries = { (1 &&& 0x0f, 5 .. 9): put(2); (1 &&& 0x01, _): put(3); }
        }
        apply { switch (t.apply().action_run) { put: { hdr.g.b = hdr.h.b; } } }
        """,
        (0x31, 0, 10, 0, 0, 0),
        (0x31, 3, 10, 0, 3, 0),
    ),
    "an_index_outside_writes_nothing": (
        "",
        "apply { hdr.s[hdr.h.a].v = 1; hdr.s[hdr.h.a].setValid(); hdr.h.b = 1; }",
        (200, 0, 0, 0, 0, 0),
        (200, 1, 0, 0, 0, 0),
    ),
    "headers_are_values": (
        "",
        """
        h_t spare;
        apply {
            spare = hdr.h;
            hdr.h = hdr.g;
            hdr.g = spare;
            if (spare == hdr.g && hdr.h != hdr.g) { hdr.h.c = 0xffff; }
            hdr.g = { hdr.g.b, hdr.g.a, 1 };
        }
        """,
        (1, 2, 3, 4, 5, 6),
        (4, 5, 0xFFFF, 2, 1, 1),
    ),
    "applies_an_instance_to_other_arguments": (
        """
        control swap<T>(inout T x, inout T y) {
            T t;
            apply { t = x; x = y; y = t; }
        }
        """,
        "swap<bit<8>>() s; apply { s.apply(hdr.h.a, hdr.h.b); s.apply(hdr.h.b, hdr.g.a); s.apply(hdr.g.b, hdr.g.a); }",
        (1, 2, 0, 3, 4, 0),
        (2, 3, 0, 4, 1, 0),
    ),
    "applies_an_instance_for_nobody": (
        "control set(out bit<8> x) { apply { x = 1; } }",
        "set() s; apply { s.apply(hdr.h.a); hdr.h.a = 9; s.apply(_); s.apply(hdr.h.b); }",
        (0, 0, 0, 0, 0, 0),
        (9, 1, 0, 0, 0, 0),
    ),
    "exits_from_a_second_application": (
        "control add(inout bit<8> x) { apply { x = x + 10; if (x == 12) { exit; } } }",
        "add() s; apply { s.apply(hdr.h.a); s.apply(hdr.h.b); hdr.h.c = 1; }",
        (1, 2, 0, 0, 0, 0),
        (11, 12, 0, 0, 0, 0),
    ),
    "a_switch_of_many_cases": (
        "",
        "apply { switch (hdr.h.c) { "
        + "".join(f"{n}: {n + 1000}: {{ hdr.h.a = {n % 200}; if (hdr.h.b == 1) {{ exit; }} }} " for n in range(1, 400))
        + "default: { hdr.h.a = 9; } } hdr.g.c = 1; }",
        (0, 0, 1150, 0, 0, 0),
        (150, 0, 1150, 0, 0, 1),
    ),
    "signed_results_keep_their_sign": (
        "",
        """
        register<int<8>>(2) r;
        apply {
            int<8> v;
            r.write(1, -1);
            r.read(v, 1);
            if (v == -1) { hdr.h.a = 1; }
            hash(v, HashAlgorithm.identity, 8w0, { 8w0xfe }, 16w256);
            if (v == -2) { hdr.h.b = 1; }
        }
        """,
        (0, 0, 0, 0, 0, 0),
        (1, 1, 0, 0, 0, 0),
    ),
    "overloads_by_number_and_names": (
        """
        bit<8> f(in bit<8> a) { return a + 1; }
        bit<8> f(in bit<8> b) { return f(b) + 10; }
        bit<8> f(in bit<8> x, in bit<8> y) { return x - y; }
        bit<8> f(in bit<8> p, in bit<8> q, in bit<8> r = 100) { return r; }
        """,
        "apply { hdr.h.a = f(a = 1); hdr.h.b = f(b = 1); hdr.g.a = f(y = 1, x = 9); hdr.g.b = f(q = 1, p = 9); }",
        (0, 0, 0, 0, 0, 0),
        (2, 12, 0, 8, 100, 0),
    ),
    "an_index_too_narrow_for_its_stack": (
        "",
        """apply {
            hdr.s[1] = { 7, 8 };
            int<2> k = (int<2>)hdr.h.a[1:0];
            hdr.h.b = hdr.s[k].v;
            k = (int<2>)hdr.g.a[1:0];
            hdr.s[k] = { 9, 9 };
            hdr.s[1].setInvalid();
        }""",
        (1, 0, 0, 3, 0, 0),
        (1, 7, 0, 3, 0, 0),
    ),
    "conditions_in_actions": (
        "",
        """
        action work() { if (hdr.h.a > 5) { hdr.h.b = 1; } else if (hdr.h.a > 2) { hdr.h.b = 2; return; } hdr.h.c = 3; }
        table t { actions = { work; } default_action = work(); }
        apply { t.apply(); }
        """,
        (4, 0, 0, 0, 0, 0),
        (4, 2, 0, 0, 0, 0),
    ),
}


LOOKS_AHEAD = """
parser MyParser(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    state start {
        p.extract(hdr.h);
        s_t[2] both = p.lookahead<s_t[2]>();
        hdr.h.b = both[1].more;
        p.extract(hdr.g);
        transition accept;
    }
}
"""


def test_a_lookahead_of_a_stack(switch: NativeDataplane, tmp_path: Path) -> None:
    switch.load(compile_source(v1model(parser=LOOKS_AHEAD), tmp_path).document.serialize().encode())
    assert switch.inject(PORT, headers(1, 2, 3, 4, 5, 0x0607)) == [(0, headers(1, 7, 3, 4, 5, 0x0607))]


FILLS_THE_NEXT = """
parser one(packet_in p, out s_t x, out bit<8> n) {
    state start { p.extract(x); transition select(x.v) { 1: accept; default: read; } }
    state read { n = x.more; transition accept; }
}
parser MyParser(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    one() o;
    state start {
        p.extract(hdr.h);
        p.extract(hdr.g);
        o.apply(p, hdr.s.next, _);
        o.apply(p, hdr.s.next, hdr.h.b);
        transition accept;
    }
}
"""


def test_the_next_element_is_extracted_by_another_parser(switch: NativeDataplane, tmp_path: Path) -> None:
    switch.load(compile_source(v1model(parser=FILLS_THE_NEXT), tmp_path).document.serialize().encode())
    stack = bytes((1, 2, 3, 4))
    assert switch.inject(PORT, headers(1, 2, 3, 4, 5, 6) + stack) == [(0, headers(1, 4, 3, 4, 5, 6) + stack)]


DROPS = """
action drop(inout standard_metadata_t sm) { mark_to_drop(sm); }
action send(inout standard_metadata_t sm, bit<9> port) { sm.egress_spec = port; }
"""


@pytest.mark.parametrize(
    ("ingress", "sent"),
    [
        ("table t { key = { hdr.h.a : exact; } actions = { drop(sm); send(sm); } default_action = drop(sm);"
         " const entries = { 5: send(sm, 7); } } apply { t.apply(); }", {1: None, 5: 7}),
        ("apply { standard_metadata_t kept = sm; mark_to_drop(sm); if (hdr.h.a == 5) { sm = kept; } }", {1: None, 5: 0}),
        ("apply { standard_metadata_t other = sm; mark_to_drop(other); hdr.h.b = (bit<8>)other.egress_spec;"
         " if (hdr.h.a == 1) { sm = other; } }", {1: None, 5: 0}),
        ("apply { if (hdr.h.a == 1) { drop(sm); } }", {1: None, 5: 0}),
    ],
)  # fmt: skip
def test_mark_to_drop_marks_what_it_is_given(
    ingress: str, sent: dict[int, int | None], switch: NativeDataplane, tmp_path: Path
) -> None:
    """The standard metadata itself or a copy: what an action's `inout` parameter copies back is marked."""
    switch.load(compile_source(v1model(ingress, DROPS), tmp_path).document.serialize().encode())
    for first, port in sent.items():
        out = switch.inject(PORT, headers(first, 2, 3, 4, 5, 6))
        assert [number for number, _ in out] == ([] if port is None else [port])


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, switch: NativeDataplane, tmp_path: Path) -> None:
    declarations, ingress, before, after = CASES[name]
    compiled = compile_source(v1model(ingress, declarations), tmp_path)
    switch.load(compiled.document.serialize().encode())
    assert switch.inject(PORT, headers(*before) + b"rest") == [(0, headers(*after) + b"rest")]
