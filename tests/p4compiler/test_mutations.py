"""Mutilated programs end in diagnostics (or compile), never in a failure of the compiler."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p4compiler import driver
from tests.p4compiler.programs import v1model
from tests.p4compiler.random_programs import Trial

TOKEN = re.compile(r'"[^"\n]*"|\w+|&&&|\+\+|\|[+-]\||<<|[<>=!]=|&&|\|\||\.\.|\s+|.')

HAND_MADE = v1model(
    """
    counter(8, CounterType.packets) packets; register<bit<8>>(4) cells; direct_meter<bit<2>>(MeterType.bytes) speed;
    bit<2> color;
    action forward(bit<9> port) { sm.egress_spec = port; packets.count((bit<32>)hdr.h.a); speed.read(color); }
    action drop() { mark_to_drop(sm); }
    table hosts {
        key = { hdr.h.c : lpm; m.x : ternary; hdr.g.a : range @name("range_key"); }
        actions = { forward; @defaultonly drop; NoAction; }
        meters = speed; size = 64; default_action = drop();
        const entries = { (0x0800, 1 &&& 1, 2 .. 3) : forward(1); }
    }
    apply {
        tuple<bit<8>, bit<16>> pair = { hdr.h.a, hdr.h.c };
        if (hdr.h.isValid() && hosts.apply().hit) { hdr.s.push_front(1); } else { exit; }
        switch (m.x) { 1: { m.y = f(m.y, m.x); } 2: { return; } default: { } }
        for (bit<8> i in 1 .. m.y) { if (i == 7) { break; } m.w = m.w + (bit<16>)i; }
        hash(m.w, HashAlgorithm.crc16, 16w0, { hdr.h.a, m.i }, 16w100);
        cells.read(m.x, 1); m.w[7:0] = hdr.h.a ++ 8w0 == 0 ? 8w1 : pair[0]; hdr.g = { 1, 2, ... };
        clone_preserving_field_list(CloneType.I2E, 5, 1); digest<h_t>(1, hdr.h); random(m.x, 0, 3);
        hdr.h.setInvalid(); log_msg("{}", { m.x }); truncate(32);
    }
    """,
    """
    enum bit<8> kind_t { A = 1, B = 2 } type bit<9> port_t; typedef bit<8> byte_t; const int LIMIT = 5 * 3;
    bit<8> f(inout bit<8> a, in byte_t b) { a = a |+| b; return (bit<8>)kind_t.A + a; }
    error { Odd } struct pair_t<T> { T left; T right; } header_union u_t { h_t h; s_t s; }
    """,
)
BASES = (HAND_MADE, Trial(3, 4, False).draw(0)[0].text, Trial(11, 5, False).draw(0)[0].text)


def mutate(base: str, seed: int, count: int) -> str:
    """`base` with `count` tokens dropped, doubled, exchanged or replaced by others of the program."""
    random = Random(seed)
    tokens = TOKEN.findall(base)
    for _ in range(count):
        at, other = random.randrange(len(tokens)), random.randrange(len(tokens))
        match random.randrange(5):
            case 0:
                tokens[at] = ""
            case 1:
                tokens[at] += " " + tokens[at]
            case 2:
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case 3:
                tokens[at] = tokens[other]
            case 4:
                tokens[at] = random.choice(
                    ["0", "-1", "65535", "8w1", "8s1", "true", "_", "...", "default", "int", "bit<0>"]
                )
    return "".join(tokens)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mutations")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(BASES), st.integers(0, 2**32 - 1), st.integers(0, 6))
def test_mutations(folder: Path, base: str, seed: int, count: int) -> None:
    path = folder / "mutated.p4"
    path.write_text(mutate(base, seed, count), encoding="utf-8")
    outputs = ["-o", str(folder / "out.json"), "--p4runtime-files", str(folder / "out.txtpb")]
    assert driver.main([*outputs, str(path)]) in (0, 1), path.read_text(encoding="utf-8")
