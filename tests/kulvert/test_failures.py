"""How the command ends when something goes wrong."""

from __future__ import annotations

import errno

import pytest

from kulvert.failures import (
    EXIT_INTERNAL,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    EXIT_USER_ERROR,
    Terminated,
    UserError,
    run_guarded,
)


def _raise(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (UserError("port.yaml:3: no such pod", hint="add it"), EXIT_USER_ERROR, "port.yaml:3: no such pod\n  add it"),
        (OSError(errno.ENOENT, "No such file or directory", "/no/where"), EXIT_USER_ERROR, "/no/where: No such file"),
        (MemoryError(), EXIT_USER_ERROR, "out of memory"),
        (KeyboardInterrupt(), EXIT_INTERRUPTED, ""),
        (Terminated(), EXIT_TERMINATED, ""),
        (SystemExit(7), 7, ""),
        (SystemExit("a word"), EXIT_USER_ERROR, "a word"),
    ],
)
def test_each_kind_of_failure_has_its_status_and_message(
    error: BaseException, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_guarded(lambda: _raise(error), name="kulvert x") == status
    message = capsys.readouterr().err
    assert said in message
    assert bool(message) == bool(said)
    assert "Traceback" not in message


def test_an_internal_failure_asks_for_a_report_and_names_the_place(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KULVERT_DEBUG", raising=False)
    assert run_guarded(lambda: _raise(ZeroDivisionError("so it goes")), name="kulvert x") == EXIT_INTERNAL
    message = capsys.readouterr().err
    assert "internal failure at tests.kulvert.test_failures:" in message
    assert "ZeroDivisionError: so it goes" in message
    assert "report it" in message
    assert "Traceback" not in message


def test_the_traceback_is_shown_on_request(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KULVERT_DEBUG", "1")
    assert run_guarded(lambda: _raise(ZeroDivisionError()), name="kulvert x") == EXIT_INTERNAL
    assert "Traceback" in capsys.readouterr().err
