"""Run the tests of many packets: `python -m ptf_tests.bulk --results FILE`. `ptf_tests.run` does, for the native switch.

Each test leaves a line in the results file. Exit status: 0 all ran, whether they passed or not; 1 something else went wrong.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import unittest
from collections.abc import Sequence
from pathlib import Path

from ptf import testutils

from kulvert.build import BuildError, build
from kulvert.targets import Target
from ptf_tests.bulk.base import BulkTest
from ptf_tests.memory import memory_node, run_in_memory

_MODULES = ("flows", "spread", "hostile", "million")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tests that the arguments name; the exit status."""
    parser = argparse.ArgumentParser(prog="ptf_tests.bulk", description=__doc__.split("\n")[0])
    parser.add_argument("--compiler", default="kulvert", choices=("auto", "kulvert", "p4c"))
    parser.add_argument(
        "--flows", type=int, default=10_000, help="random flows to compare with the model (default 10,000)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the first random cluster (default 0)")
    parser.add_argument("--results", type=Path, required=True, help="file that gets a line a test")
    parser.add_argument(
        "tests", nargs="*", help="modules or tests to run, as `spread` or `flows.RandomFlowsKeepTheContract`"
    )
    options = parser.parse_args(argv)
    by_profile: dict[Target, list[type[BulkTest]]] = {}
    for found in _tests(options.tests):
        by_profile.setdefault(found.profile(), []).append(found)
    try:
        for target, tests in by_profile.items():
            _run(target, tests, options)
    except BuildError as error:
        print(f"{error.diagnostics}\nerror: {error}", file=sys.stderr)
        return 1
    return 0


def _tests(wanted: Sequence[str]) -> list[type[BulkTest]]:
    found: list[type[BulkTest]] = []
    for name in _MODULES:
        module = importlib.import_module(f"ptf_tests.bulk.{name}")
        for item in vars(module).values():
            if not (isinstance(item, type) and issubclass(item, BulkTest) and hasattr(item, "runTest")):
                continue
            names = {name, f"{name}.{item.__name__}"}
            if item.__module__ == module.__name__ and (not wanted or names & {*wanted}):
                found.append(item)
    return found


def _run(target: Target, tests: Sequence[type[BulkTest]], options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="kulvert-bulk-") as scratch:
        pipeline = build(target, Path(scratch) / "pipeline", options.compiler)
        for test in tests:
            with memory_node(pipeline) as node:
                more = {"memory_node": node, "flows": options.flows, "seed": options.seed}
                run_in_memory(unittest.TestSuite([test()]), node, options.results, **more)


if __name__ == "__main__":
    testutils.TEST_PARAMS = {}
    sys.exit(main())
