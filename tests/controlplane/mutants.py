"""Runs tests on sources with one thing changed: `python -m tests.controlplane.mutants` reads mutants and says whose tests noticed.

A line of standard input is a mutant, as JSON {file, old, new, tests}; a line of standard output is pytest's exit status for it: 1 if a test
noticed. A mutant is made while its module is imported, in a process of its own forked from one that has imported what all of them need
(no gRPC, whose threads a fork does not take along); no file is touched.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, old: str, new: str) -> None:
        super().__init__(name, path)
        self._change = (old, new)

    def get_data(self, path: str) -> bytes:
        data = super().get_data(path)
        return data.decode().replace(*self._change, 1).encode() if path.endswith(".py") else data

    def path_stats(self, path: str) -> dict[str, int]:
        raise OSError("compiled anew")


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, file: str, old: str, new: str) -> None:
        self._name = file.removesuffix(".py").replace("/", ".")
        self._loader = _Loader(self._name, str(ROOT / file), old, new)

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self._name:
            return None
        return importlib.util.spec_from_file_location(name, self._loader.path, loader=self._loader)


def _run(file: str, old: str, new: str, tests: Sequence[str]) -> int:
    """pytest's exit status in a child: 1 if a test failed."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 70
    try:
        import pytest

        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.dont_write_bytecode = True
        sys.meta_path.insert(0, _Finder(file, old, new))
        paths = [f"tests/controlplane/{test}" for test in tests]
        status = int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *paths]))
    finally:
        os._exit(status)


def main() -> None:
    os.chdir(ROOT)
    for module in ("hypothesis", "hypothesis.internal.conjecture.data", "msgspec", "pytest", "yaml"):
        importlib.import_module(module)
    for line in iter(sys.stdin.readline, ""):
        item = json.loads(line)
        print(_run(*(item[key] for key in ("file", "old", "new", "tests"))), flush=True)


if __name__ == "__main__":
    main()
