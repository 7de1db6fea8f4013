"""Random programs do what the specification says: compiled by Kulvert on the native switch, and by p4c on BMv2.

`KULVERT_RANDOM_PROGRAMS=1000 pytest tests/p4compiler/test_random_programs.py` tries that many of each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from p4switch.native.dataplane import NativeDataplane
from tests.p4compiler.programs import compile_source
from tests.p4compiler.random_programs import Trial
from tests.p4compiler.reference import compile_with_p4c, missing_tools, run_packets

PORT = 1
PACKETS = 8
PROGRAMS = os.environ.get("KULVERT_RANDOM_PROGRAMS")

few = settings(
    max_examples=int(PROGRAMS or 8),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def trials(portable: bool) -> st.SearchStrategy[Trial]:
    """Fewer statements are the simpler example; another seed is just another program."""
    return st.builds(Trial, st.integers(0, 2**32 - 1), st.integers(1, 8), st.just(portable))


@pytest.fixture(scope="module")
def switch() -> Iterator[NativeDataplane]:
    dataplane = NativeDataplane()
    yield dataplane
    dataplane.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("random")


@pytest.mark.timeout(0 if PROGRAMS else 600)
@few
@given(trials(portable=False))
def test_native(switch: NativeDataplane, folder: Path, trial: Trial) -> None:
    program, sent, expected = trial.draw(PACKETS)
    switch.load(compile_source(program.text, folder).document.serialize().encode())
    got = [switch.inject(PORT, packet) for packet in sent]
    assert got == [[(0, packet)] for packet in expected], program.text


@pytest.mark.skipif(bool(missing_tools()), reason=f"not on the PATH: {', '.join(missing_tools())}")
@pytest.mark.timeout(0 if PROGRAMS else 600)
@few
@given(trials(portable=True))
def test_reference(folder: Path, trial: Trial) -> None:
    """p4c on BMv2 agrees with the specification (or the test is wrong), and so does Kulvert's JSON on BMv2."""
    program, sent, expected = trial.draw(PACKETS)
    assert run_packets(compile_with_p4c(program.text, folder), sent, folder) == expected, program.text
    ours = folder / "ours.json"
    ours.write_text(compile_source(program.text, folder).document.serialize(), encoding="utf-8")
    assert run_packets(ours, sent, folder) == expected, program.text
