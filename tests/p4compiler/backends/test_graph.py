"""The drawing of programs: the DOT of a small one, and what must hold for any."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from p4compiler.backends.graph.generate import PARTS, generate_graph
from p4compiler.backends.graph.text import MAX_LINES, shorten, wrap
from p4compiler.diagnostics import Diagnostics
from p4compiler.elaborate import elaborate_file
from p4compiler.ir.program import Program
from tests.p4compiler.programs import v1model

GRAPHS = Path(__file__).parent / "graphs"

PARSER = """\
parser MyParser(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    value_set<bit<8>>(4) known;
    state start {
        p.extract(hdr.h);
        verify(hdr.h.b > 3, error.HeaderTooShort);
        transition select(hdr.h.a, hdr.h.c) {
            (1, 0x800): two;
            (2, 0x806 &&& 0xfff): two;
            (3, _): stack;
            default: accept;
        }
    }
    state two { p.extract(hdr.g); transition select(hdr.g.a) { known: stack; 7: reject; } }
    state stack { p.extract(hdr.s.next); transition select(hdr.s.last.more) { 0: accept; _: stack; } }
    state never { transition accept; }
}
"""

INGRESS = """\
counter(8, CounterType.packets) packets;
action forward(bit<9> port) { sm.egress_spec = port; packets.count(0); }
action drop() { mark_to_drop(sm); }
table hosts {
    key = { hdr.h.c : lpm; m.x : ternary; }
    actions = { forward; drop; }
    default_action = drop();
}
table more { key = { hdr.h.a : exact; } actions = { forward; NoAction; } const entries = { 1: forward(2); } }
apply {
    m.x = hdr.h.a;
    m.y = 3;
    if (hdr.h.isValid() && hdr.h.a != 0) {
        switch (hosts.apply().action_run) {
            forward: { m.w = 40000; }
            drop: { exit; }
        }
    } else if (more.apply().miss) {
        truncate(32w60);
    }
    for (bit<8> i in 8w0 .. m.y) { if (i == 5) break; m.w = m.w + 1; }
}
"""


def _elaborate(source: str, directory: Path) -> Program:
    path = directory / "test.p4"
    path.write_text(source, encoding="utf-8")
    diagnostics = Diagnostics()
    program = elaborate_file(str(path), diagnostics)
    assert program is not None, diagnostics.render()
    return program


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return _elaborate(v1model(INGRESS, parser=PARSER), tmp_path_factory.mktemp("graph"))


@pytest.mark.parametrize("part", ["parser", "ingress"])
def test_golden(part: str, program: Program, compare_golden: Callable[[Path, str], None]) -> None:
    text = generate_graph(program, [part]).replace(program.file, "test.p4")
    compare_golden(GRAPHS / f"{part}.dot", text)


def test_every_edge_leads_from_a_node_to_a_node(program: Program) -> None:
    text = generate_graph(program)
    nodes = set(re.findall(r"^    (\w+) \[(?:shape)", text, re.MULTILINE))
    edges = re.findall(r"^ +(\w+) -> (\w+)", text, re.MULTILINE)
    assert edges and {end for edge in edges for end in edge} == nodes
    assert text.count("subgraph cluster_") == len(PARTS)
    assert "never" not in text


def test_brief_leaves_out_what_only_moves_values(program: Program) -> None:
    text = generate_graph(program, ["ingress"], brief=True)
    assert "hosts" in text and "more" in text and "truncate" in text and "exit" in text
    assert "m.w" not in text and "loop" not in text and "40000" not in text


def test_names_cannot_break_out_of_their_labels(tmp_path: Path) -> None:
    body = 'apply { log_msg("a \\"quote\\" <b> & \\\\ back"); }'
    text = generate_graph(_elaborate(v1model(body), tmp_path), ["ingress"])
    [label] = re.findall(r'fillcolor="#fff3e0", label="((?:[^"\\]|\\.)*)"', text)
    assert "quote" in label


def test_long_texts_are_cut() -> None:
    assert shorten("x" * 100, 10) == "x" * 9 + "…"
    lines = wrap(" && ".join(f"hdr.header.field_{i} == {i}" for i in range(50)))
    assert len(lines) == MAX_LINES and lines[-1] == "…"


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    path = tmp_path / "bad.p4"
    path.write_text("control c(", encoding="utf-8")
    diagnostics = Diagnostics()
    assert elaborate_file(str(path), diagnostics) is None and diagnostics.has_errors
