"""The packet tests over sockets: no root, no namespaces."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ptf_tests.run", "--ports", "socket", *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def test_a_stage_passes(tmp_path: Path) -> None:
    result = run("--compiler", "kulvert", "--junit", str(tmp_path / "out.xml"), "route.LongestPrefixWins")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 tests: 1 passed, 0 failed" in result.stdout
    assert "LongestPrefixWins" in (tmp_path / "out.xml").read_text()


def test_bmv2_has_no_such_ports() -> None:
    result = run("--target", "bmv2")
    assert result.returncode == 3
    assert "not tested" in result.stdout
