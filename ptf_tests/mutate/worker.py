"""Run some tests in this process, up to the first that fails: `python -m ptf_tests.mutate.worker TEST...`, in a copy of the sources.

Exit status: 0 all passed, 1 one failed, 2 the sources do not even compile.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import unittest
from collections.abc import Sequence
from pathlib import Path

import pytest

from kulvert.build import BuildError, build
from kulvert.targets import load_target
from ptf_tests.memory import memory_node, run_in_memory

PASSED, FAILED, BROKEN = range(3)

_PYTEST = "pytest:"


def main(tests: Sequence[str]) -> int:
    """Run them; the exit status."""
    in_memory = [name for name in tests if not name.startswith(_PYTEST)]
    for name in tests:
        if name.startswith(_PYTEST) and pytest.main(["-q", "-x", "-p", "no:cacheprovider", name.removeprefix(_PYTEST)]):
            return FAILED
    return run_stages(in_memory) if in_memory else PASSED


def find_test(name: str) -> type[unittest.TestCase]:
    """The test `STAGE.Test` of `ptf_tests/stages`.

    Raises:
        LookupError: there is none.
    """
    stage, _, test = name.partition(".")
    found = getattr(importlib.import_module(f"ptf_tests.stages.{stage}"), test, None)
    if not (isinstance(found, type) and issubclass(found, unittest.TestCase)):
        raise LookupError(f"there is no test {name}")
    return found


def run_stages(tests: Sequence[str]) -> int:
    """Run tests of the stages with the profile for tests; the exit status."""
    with tempfile.TemporaryDirectory(prefix="kulvert-mutate-") as scratch:
        folder = Path(scratch)
        try:
            pipeline = build(load_target("small"), folder / "pipeline", "kulvert")
        except BuildError as error:
            print(f"{error.diagnostics}\n{error}", file=sys.stderr)
            return BROKEN
        with memory_node(pipeline) as node:
            for name in tests:
                suite = unittest.TestSuite([find_test(name)()])
                result = run_in_memory(
                    suite, node, folder / "results.jsonl", watch_ports="0"
                )  # there are none to watch
                if result.skipped:
                    raise LookupError(f"{name} is skipped: it cannot notice anything")
                for _, story in result.failures + result.errors:
                    print(f"{name}: {story}")
                    return FAILED
    return PASSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
