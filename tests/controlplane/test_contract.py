"""The table of what is required (`contract`): its tests are there, and notice what they are for."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane.contract import ROWS, Mutant
from tests.controlplane.mutants import ROOT

HERE = Path(__file__).parent
MUTANTS = [(row, mutant) for row in ROWS for mutant in row.mutants]


def _defined(file: str) -> set[str]:
    tree = ast.parse((HERE / file).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_row_has_tests_that_are_there() -> None:
    for row in ROWS:
        assert row.tests and row.mutants, row.name
        for test in row.tests:
            file, _, name = test.partition("::")
            assert (HERE / file).is_file(), test
            assert not name or name in _defined(file), test


def _name(mutant: Mutant) -> str:
    return f"{Path(mutant.file).stem}: {' '.join(mutant.old.split())[:60]}"


@pytest.mark.parametrize("mutant", [mutant for _, mutant in MUTANTS], ids=_name)
def test_a_mutant_is_of_one_line_that_is_there(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text().count(mutant.old) == 1 and mutant.new != mutant.old


@pytest.fixture(scope="module")
def judge() -> Iterator[subprocess.Popen[str]]:
    """Runs a mutant's tests when it is told of one."""
    command = [sys.executable, "-m", "tests.controlplane.mutants"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=ROOT
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(100) == 0


@pytest.mark.parametrize("number", range(len(MUTANTS)), ids=[_name(mutant) for _, mutant in MUTANTS])
def test_a_mutant_is_noticed(judge: subprocess.Popen[str], number: int) -> None:
    row, mutant = MUTANTS[number]
    assert judge.stdin is not None and judge.stdout is not None
    wanted = {"file": mutant.file, "old": mutant.old, "new": mutant.new, "tests": row.tests}
    judge.stdin.write(json.dumps(wanted) + "\n")
    status = int(judge.stdout.readline())
    assert status == pytest.ExitCode.TESTS_FAILED, f"{row.name}: none of {row.tests} notices {mutant}"
