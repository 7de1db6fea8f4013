"""Whole messages as a user sees them: programs with mistakes and what is said about them, as goldens.

`messages/NAME.p4` is the program, `messages/NAME.messages` what the compiler prints; `pytest --update-goldens` writes it anew.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from p4compiler import driver

FOLDER = Path(__file__).parent / "messages"
BUILTIN = Path(driver.__file__).parent / "p4include"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.p4")), ids=lambda path: path.stem)
def test_messages(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    compare_golden: Callable[[Path, str], None],
) -> None:
    monkeypatch.chdir(FOLDER)
    code = driver.main([path.name, "--maxErrorCount", "40"])
    said = capsys.readouterr().err.replace(str(BUILTIN), "p4include")
    compare_golden(path.with_suffix(".messages"), f"{said}exit code {code}\n")
