"""Random entries in tables of every kind, and random packets: BMv2 and the native switch find the same entries."""

from __future__ import annotations

import random

import pytest

from tests.p4switch.compiled import compile_file
from tests.p4switch.differential.comparison import Comparison
from tests.p4switch.differential.conftest import PROGRAMS, ROUNDS, Sides
from tests.p4switch.differential.entries import PORTS, Writer, batches
from tests.p4switch.differential.frames import damaged, explain, header, header_types
from tests.p4switch.differential.sides import Frame
from tests.p4switch.differential.values import Values

FRAMES = 60


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_random_entries_and_packets(seed: int, sides: Sides) -> None:
    bmv2_json, p4info = compile_file(PROGRAMS / "tables.p4")
    types = header_types(bmv2_json)
    rng = random.Random(seed)
    values = Values(rng)
    writer = Writer(p4info, values)
    comparison = Comparison(*sides, p4info, bmv2_json)

    def frame() -> Frame:
        frame = header(values, types["probe_t"], writer.wanted("hdr.probe")) + bytes(types["results_t"].fixed_bits // 8)
        return rng.choice(PORTS), damaged(values, frame + rng.randbytes(rng.randrange(8)))

    def describe(packet: bytes) -> str:
        return explain(packet, types["probe_t"], types["results_t"])

    for _ in range(4):
        updates = writer.profile_updates(members=4, groups=3) + writer.table_updates(150) + writer.missing()
        for batch in batches(rng, updates):
            comparison.write(batch)
        assert comparison.process([frame() for _ in range(FRAMES)], describe) > FRAMES // 2
        comparison.read_everything()
        comparison.read_registers(bmv2_json)
