"""Random expressions, compiled by us, computed by BMv2 and by the native switch: the same results."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.p4switch.compiled import compile_file
from tests.p4switch.differential.comparison import Comparison
from tests.p4switch.differential.conftest import ROUNDS, Sides
from tests.p4switch.differential.frames import header, header_types
from tests.p4switch.differential.random_programs import ProgramWriter
from tests.p4switch.differential.values import Values

FRAMES = 60


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_random_expressions(seed: int, sides: Sides, tmp_path: Path) -> None:
    rng = random.Random(seed)
    writer = ProgramWriter(rng)
    source = tmp_path / "expressions.p4"
    source.write_text(writer.text())
    bmv2_json, p4info = compile_file(source)
    kind = header_types(bmv2_json)["inputs_t"]
    comparison = Comparison(*sides, p4info, bmv2_json)
    values = Values(rng)

    def explain(packet: bytes) -> str:
        if len(packet) * 8 < sum(each.width for each in writer.results.values()):
            return packet.hex()
        bits, left, words = int.from_bytes(packet, "big"), 8 * len(packet), []
        for name, each in writer.results.items():
            left -= each.width
            words.append(f"{name}={bits >> left & (1 << each.width) - 1:#x}")
        return f"{' '.join(words)} ({packet.hex()})"

    frames = [(0, header(values, kind)) for _ in range(FRAMES)]
    assert comparison.process(frames, explain) == FRAMES, source.read_text()
