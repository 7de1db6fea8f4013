"""Indexes that are computed at run time: elements of stacks of unions, and extraction into an element.

The packet is `h`, which tells the indexes, then two unions: first a `one` (kind, 8 bits), then a `two` (kind, 16 bits).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from p4switch.native.dataplane import NativeDataplane
from tests.p4compiler.programs import compile_source

PROGRAM = """\
#include <core.p4>
#include <v1model.p4>
header h_t { bit<8> i; bit<8> j; }
header one_t { bit<8> kind; bit<8> x; }
header two_t { bit<8> kind; bit<16> y; }
header_union both_t { one_t one; two_t two; }
struct headers_t { h_t h; both_t[3] s; }
struct meta_t { }
void twice(inout both_t u) { if (u.one.isValid()) { u.one.x = u.one.x * 2; } }
parser MyParser(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    state start { p.extract(hdr.h); EXTRACT transition accept; }
}
control MyVerify(inout headers_t hdr, inout meta_t m) { apply { } }
control MyIngress(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) { apply { INGRESS } }
control MyEgress(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) { apply { } }
control MyUpdate(inout headers_t hdr, inout meta_t m) { apply { } }
control MyDeparser(packet_out p, in headers_t hdr) { apply { p.emit(hdr); } }
V1Switch(MyParser(), MyVerify(), MyIngress(), MyEgress(), MyUpdate(), MyDeparser()) main;
"""
NEXT = "p.extract(hdr.s.next.one); p.extract(hdr.s.next.two);"

CASES = {
    "reads": ("hdr.h.i = hdr.s[hdr.h.i].one.x;", "0001 0105 020304", "0501 0105 020304"),
    "tells_what_is_valid": (
        "if (hdr.s[hdr.h.i].isValid() && hdr.s[hdr.h.j].two.isValid() && !hdr.s[hdr.h.j + 1].isValid()) { hdr.h.i = 9; }",
        "0001 0105 020304",
        "0901 0105 020304",
    ),
    "writes": ("hdr.s[hdr.h.i].one.x = 7; hdr.s[hdr.h.i + 3].one.x = 8;", "0001 0105 020304", "0001 0107 020304"),
    "one_member_valid_is_the_other_invalid": (
        "hdr.s[hdr.h.i].one = { 1, 2 }; hdr.s[hdr.h.j].two.setValid(); hdr.s[hdr.h.j].two = { 3, 4 };",
        "0100 0105 020304",
        "0100 030004 0102",
    ),
    "copies": ("hdr.s[2] = hdr.s[hdr.h.i]; hdr.s[hdr.h.i] = hdr.s[hdr.h.j];", "0001 0105 020304", "0001 020304 020304 0105"),
    "invalidates": ("hdr.s[hdr.h.i] = {#};", "0001 0105 020304", "0001 020304"),
    "is_passed": ("twice(hdr.s[hdr.h.i]); twice(hdr.s[hdr.h.j]);", "0001 0105 020304", "0001 010a 020304"),
}  # fmt: skip


@pytest.fixture
def switch() -> Iterator[NativeDataplane]:
    dataplane = NativeDataplane()
    yield dataplane
    dataplane.close()


def run(switch: NativeDataplane, directory: Path, extract: str, ingress: str, packet: str) -> str:
    source = PROGRAM.replace("EXTRACT", extract).replace("INGRESS", ingress)
    switch.load(compile_source(source, directory).document.serialize().encode())
    (sent,) = switch.inject(0, bytes.fromhex(packet))
    return sent[1].hex()


@pytest.mark.parametrize("name", CASES)
def test_a_union_by_its_index(name: str, switch: NativeDataplane, tmp_path: Path) -> None:
    ingress, before, after = CASES[name]
    assert run(switch, tmp_path, NEXT, ingress, before) == after.replace(" ", "")


@pytest.mark.parametrize(("before", "after"), [("0102", "0102 0105 020304"), ("0203", "0203 0105 ff")])
def test_extraction_by_an_index(before: str, after: str, switch: NativeDataplane, tmp_path: Path) -> None:
    """An index outside of the stack is a parser error; what was not extracted follows as it came."""
    extract = "p.extract(hdr.s[hdr.h.i].one); p.extract(hdr.s[hdr.h.j].two);"
    ingress = "if (sm.parser_error == error.StackOutOfBounds) { hdr.s[0].one = { 1, 5 }; hdr.s[2] = {#}; }"
    rest = "ff" if before == "0203" else ""
    packet = before + "0105" + (rest or "020304")
    assert run(switch, tmp_path, extract, ingress, packet) == after.replace(" ", "")
