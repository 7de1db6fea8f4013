"""The check of the imports' direction really fails when an import goes up."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = ("p4base", "p4compiler", "p4switch", "controlplane", "kulvert")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(CHECKOUT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    return tmp_path


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500, check=False)


def test_the_sources_keep_the_contracts(copy: Path) -> None:
    run = _lint(copy)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("p4base/lookup.py", "import p4switch.dataplane"),
        ("p4switch/dataplane.py", "import kulvert.targets"),
        ("controlplane/options.py", "import p4compiler.driver"),
        ("p4compiler/source.py", "import p4compiler.diagnostics"),
        ("p4compiler/syntax/ast.py", "import p4compiler.types.model"),
        ("p4compiler/backends/__init__.py", "import p4compiler.types.model"),
        ("controlplane/desired/entities.py", "import grpc"),
        ("controlplane/desired/entities.py", "import time"),
        ("controlplane/kube/objects.py", "import p4base.lookup"),
        ("controlplane/addresses.py", "import grpc"),
        ("controlplane/addresses.py", "import kubernetes_asyncio"),
    ],
)
def test_an_import_that_goes_up_breaks_one(copy: Path, module: str, line: str) -> None:
    path = copy / module
    path.write_text(path.read_text() + f"\n{line}\n")
    run = _lint(copy)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "broken" in run.stdout
