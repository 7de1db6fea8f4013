"""Break the contract row by row and see that a test notices: `python -m ptf_tests.mutate`.

Each mutation is made in a copy of the sources, and its tests run there on the native switch in memory. One that no test notices is a
failure, and so is a test that fails without any mutation. `--document FILE` writes the table of rows, tests and mutations.

Exit status: 0 every mutation was noticed, 1 something else.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ptf_tests.mutate.document import document
from ptf_tests.mutate.mutation import Mutation
from ptf_tests.mutate.mutations import MUTATIONS
from ptf_tests.mutate.worker import BROKEN, FAILED, PASSED

CHECKOUT = Path(__file__).resolve().parent.parent.parent
_COPIED = (
    "controlplane",
    "kulvert",
    "p4base",
    "p4compiler",
    "p4switch",
    "p4src",
    "ptf_tests",
    "targets",
    "templates",
    "tests",
)
_FILES = ("pyproject.toml", "README.md")
_SECONDS = 900


class MutationError(Exception):
    """A mutation that cannot be made: the text it replaces is not there, or more than once."""


def mutate(mutation: Mutation, folder: Path) -> None:
    """Make the edit in a copy of the sources.

    Raises:
        MutationError
    """
    path = folder / mutation.path
    text = path.read_text(encoding="utf-8")
    if text.count(mutation.old) != 1:
        raise MutationError(
            f"{mutation.name}: its text is in {mutation.path} {text.count(mutation.old)} times, not once"
        )
    path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")


def copy_sources(source: Path, folder: Path) -> None:
    """Copy what the tests need."""
    for name in _COPIED:
        shutil.copytree(source / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _FILES:
        shutil.copy(source / name, folder / name)


def run(source: Path, mutation: Mutation | None, tests: Sequence[str], log: Path) -> tuple[int, float]:
    """Run tests in a copy of the sources, mutated or not; the worker's exit status and the seconds it took."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kulvert-mutant-") as scratch:
        folder = Path(scratch)
        copy_sources(source, folder)
        if mutation is not None:
            mutate(mutation, folder)
        environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "ptf_tests.mutate.worker", *tests]
        with log.open("wb") as output:
            try:
                finished = subprocess.run(
                    command,
                    cwd=folder,
                    env=environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=_SECONDS,
                    check=False,
                )
                status = finished.returncode
            except subprocess.TimeoutExpired:
                status = FAILED  # it hangs, which is noticed
    return status, time.monotonic() - started


def main(argv: Sequence[str] | None = None) -> int:
    """Make all the mutations; the exit status."""
    parser = argparse.ArgumentParser(prog="ptf_tests.mutate", description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time (default 1)")
    parser.add_argument("--document", type=Path, help="write the table there and leave")
    parser.add_argument("words", nargs="*", help="only mutations whose name, row or file has one of these words")
    options = parser.parse_args(argv)
    if options.document is not None:
        options.document.write_text(document(), encoding="utf-8")
        return 0
    console = Console(highlight=False)
    chosen = [mutation for mutation in MUTATIONS if _is_wanted(mutation, options.words)]
    with tempfile.TemporaryDirectory(prefix="kulvert-mutate-") as scratch:
        logs, source = Path(scratch), Path(scratch) / "sources"
        copy_sources(CHECKOUT, source)  # so that whoever goes on editing changes nothing here
        tests = sorted({test for mutation in chosen for test in mutation.tests})
        status, seconds = run(source, None, tests, logs / "unmutated")
        if status != PASSED:
            console.print((logs / "unmutated").read_text(encoding="utf-8", errors="replace"), markup=False)
            console.print("error: a test fails without any mutation", style="red")
            return 1
        console.print(f"{len(tests)} tests pass on the sources as they are, {seconds:.0f} s")
        return _run_all(source, chosen, logs, options.jobs, console)


def _is_wanted(mutation: Mutation, words: Sequence[str]) -> bool:
    text = " ".join((mutation.name, mutation.path, *mutation.rows))
    return not words or any(word in text for word in words)


def _run_all(source: Path, chosen: Sequence[Mutation], logs: Path, jobs: int, console: Console) -> int:
    table = Table(title="mutations", title_justify="left")
    for column in ("row", "mutation", "file", "noticed"):
        table.add_column(column, overflow="fold")
    failures = 0

    def one(numbered: tuple[int, Mutation]) -> tuple[int, float]:
        number, mutation = numbered
        return run(source, mutation, mutation.tests, logs / str(number))

    with ThreadPoolExecutor(jobs) as pool, console.status("mutating") as progress:
        for number, (mutation, (status, seconds)) in enumerate(
            zip(chosen, pool.map(one, enumerate(chosen)), strict=True)
        ):
            told = {PASSED: "[red]no[/]", FAILED: "yes", BROKEN: "[red]does not compile[/]"}.get(
                status, f"[red]{status}[/]"
            )
            table.add_row(", ".join(mutation.rows), mutation.name, mutation.path, f"{told}, {seconds:.0f} s")
            progress.update(f"{number + 1} of {len(chosen)} mutations, {failures} survive")
            if not console.is_terminal:
                console.print(f"{number + 1}/{len(chosen)} {mutation.name}: {told}, {seconds:.0f} s")
            if status != FAILED:
                failures += 1
                console.print(f"{mutation.path}: {mutation.name}: {told}")
                if status != PASSED:
                    log = (logs / str(number)).read_text(encoding="utf-8", errors="replace")
                    console.print(log[-2000:], markup=False)
    console.print(table)
    console.print(f"{len(chosen)} mutations, {len(chosen) - failures} noticed, {failures} not")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
