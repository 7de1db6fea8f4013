"""Arrays: random assignments between elements, whole arrays and structures, against the same in Python.

The packet is two indices and two arrays, one of four bytes and one of three structures of two bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p4switch.native.dataplane import NativeDataplane
from tests.p4compiler.programs import compile_source

PROGRAM = """\
#include <core.p4>
#include <v1model.p4>
struct pair_t { bit<8> x; bit<8> y; }
header h_t { bit<8> i; bit<8> j; bit<8>[4] a; pair_t[3] q; }
struct headers_t { h_t h; }
struct meta_t { bit<8>[4] a; pair_t[3] q; }
parser MyParser(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    state start { p.extract(hdr.h); m.a = hdr.h.a; m.q = hdr.h.q; transition accept; }
}
control MyVerify(inout headers_t hdr, inout meta_t m) { apply { } }
control MyIngress(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) { apply {
STATEMENTS
hdr.h.a = m.a; hdr.h.q = m.q;
} }
control MyEgress(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) { apply { } }
control MyUpdate(inout headers_t hdr, inout meta_t m) { apply { } }
control MyDeparser(packet_out p, in headers_t hdr) { apply { p.emit(hdr); } }
V1Switch(MyParser(), MyVerify(), MyIngress(), MyEgress(), MyUpdate(), MyDeparser()) main;
"""
SIZES = {"a": 4, "q": 3}


class Machine:
    """What the program works on."""

    def __init__(self, packet: bytes) -> None:
        self.i, self.j = packet[:2]
        self.a = list(packet[2:6])
        self.q = [list(packet[at : at + 2]) for at in (6, 8, 10)]

    def packet(self) -> bytes:
        return bytes([self.i, self.j, *self.a, *(part for pair in self.q for part in pair)])

    def element(self, array: str, index: int) -> int:
        """An index that is inside; the first one instead of one that is not, as the compiler promises for reading."""
        return index if index < SIZES[array] else 0


Expression = tuple[str, Callable[[Machine], int]]
Statement = tuple[str, Callable[[Machine], None]]


@st.composite
def indices(draw: st.DrawFn, array: str) -> Expression:
    if draw(st.booleans()):
        number = draw(st.integers(0, SIZES[array] - 1))
        return str(number), lambda _: number
    name = draw(st.sampled_from("ij"))
    plus = draw(st.integers(0, 2))
    return f"hdr.h.{name} + {plus}" if plus else f"hdr.h.{name}", lambda m: (getattr(m, name) + plus) & 0xFF


@st.composite
def reads(draw: st.DrawFn) -> Expression:
    """A byte: an element, a field of one, an element by an element."""
    kind = draw(st.sampled_from(["a", "q", "nested"]))
    text, at = draw(indices("q" if kind == "q" else "a"))
    if kind == "a":
        return f"m.a[{text}]", lambda m: m.a[m.element("a", at(m))]
    if kind == "q":
        field = draw(st.integers(0, 1))
        return f"m.q[{text}].{'xy'[field]}", lambda m: m.q[m.element("q", at(m))][field]
    return f"m.a[m.a[{text}]]", lambda m: m.a[m.element("a", m.a[m.element("a", at(m))])]


@st.composite
def statements(draw: st.DrawFn) -> Statement:
    kind = draw(st.sampled_from(["element", "slice", "array", "field", "pair", "pairs"]))
    value, get = draw(reads())
    if kind in ("element", "slice"):
        target, at = draw(indices("a"))
        high = draw(st.integers(0, 6)) if kind == "slice" else 7
        text = f"m.a[{target}]" if high == 7 else f"m.a[{target}][{high}:0]"
        mask = (2 << high) - 1

        def element(m: Machine) -> None:
            index, new = at(m), get(m)
            if index < SIZES["a"]:
                m.a[index] = m.a[index] & ~mask | new & mask

        return f"{text} = {value}{'' if high == 7 else f'[{high}:0]'};", element
    if kind == "array":
        parts = [draw(reads()) for _ in range(SIZES["a"])]

        def array(m: Machine) -> None:
            m.a = [part(m) for _, part in parts]

        return f"m.a = {{ {', '.join(part for part, _ in parts)} }};", array
    target, at = draw(indices("q"))
    if kind == "field":
        field = draw(st.integers(0, 1))

        def one_field(m: Machine) -> None:
            index, new = at(m), get(m)
            if index < SIZES["q"]:
                m.q[index][field] = new

        return f"m.q[{target}].{'xy'[field]} = {value};", one_field
    source, where = draw(indices("q"))
    if kind == "pair":

        def pair(m: Machine) -> None:
            index, new = at(m), list(m.q[m.element("q", where(m))])
            if index < SIZES["q"]:
                m.q[index] = new

        return f"m.q[{target}] = m.q[{source}];", pair

    def pairs(m: Machine) -> None:
        one, two = list(m.q[m.element("q", at(m))]), list(m.q[m.element("q", where(m))])
        m.q = [one, two, [m.q[1][1], m.q[0][0]]]

    return f"m.q = {{ m.q[{target}], m.q[{source}], {{ m.q[1].y, m.q[0].x }} }};", pairs


@pytest.fixture(scope="module")
def switch() -> Iterator[NativeDataplane]:
    dataplane = NativeDataplane()
    yield dataplane
    dataplane.close()


@settings(max_examples=6, deadline=None)
@given(
    st.lists(statements(), min_size=8, max_size=8),
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 5), st.binary(min_size=10, max_size=10)), min_size=8, max_size=8
    ),
)
def test_assignments(switch: NativeDataplane, body: list[Statement], inputs: list[tuple[int, int, bytes]]) -> None:
    source = PROGRAM.replace("STATEMENTS", "\n".join(text for text, _ in body))
    with TemporaryDirectory() as directory:
        switch.load(compile_source(source, Path(directory)).document.serialize().encode())
    for i, j, data in inputs:
        packet = bytes([i, j]) + data
        machine = Machine(packet)
        for _, run in body:
            run(machine)
        assert [out for _, out in switch.inject(0, packet)] == [machine.packet()]
