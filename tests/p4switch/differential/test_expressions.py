"""Random expressions, compiled by us, computed by BMv2 and by the native switch: the same results."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.p4switch.compiled import compile_file
from tests.p4switch.differential.comparison import Comparison
from tests.p4switch.differential.conftest import ROUNDS, Sides
from tests.p4switch.differential.frames import explain, header, header_types
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
    types = header_types(bmv2_json)
    comparison = Comparison(*sides, p4info, bmv2_json)
    values = Values(rng)

    def describe(packet: bytes) -> str:
        return explain(packet, types["results_t"], types["inputs_t"])

    frames = [(0, header(values, types["inputs_t"])) for _ in range(FRAMES)]
    assert comparison.process(frames, describe) == FRAMES, source.read_text()
