"""The command line: help that helps, wrong usage, and a quick start."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kulvert.cli import COMMANDS
from tests.kulvert.commands import assert_clear, run_kulvert


def test_help_lists_every_command() -> None:
    result = run_kulvert(["--help"])
    assert result.returncode == 0
    for name in COMMANDS:
        assert f"\n  {name} " in result.stdout


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help_with_its_options(command: str) -> None:
    result = run_kulvert([command, "--help"])
    assert result.returncode == 0, result.stderr
    assert "usage" in result.stdout.lower()
    assert len(result.stdout.splitlines()) > 8


@pytest.mark.parametrize("command", ["build", "lab", "controller"])
def test_help_has_examples(command: str) -> None:
    assert f"kulvert {command}" in run_kulvert([command, "--help"]).stdout.partition("Examples:")[2]


@pytest.mark.parametrize("arguments", [["no-such-command"], ["build", "--no-such-option"], ["controller"], []])
def test_wrong_usage_is_status_2(arguments: list[str]) -> None:
    result = run_kulvert(arguments)
    assert result.returncode == 2
    assert "Usage:" in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("command", "heavy"),
    [
        ("import kulvert.cli", {"click", "rich", "grpc", "finsy", "p4compiler", "pyroute2", "jinja2"}),
        ("import kulvert.cli; kulvert.cli.run(['--help'])", {"rich", "grpc", "finsy", "pyroute2", "controlplane"}),
        ("import kulvert.cli; kulvert.cli.run(['compile', '--help'])", {"click", "rich", "grpc", "pyroute2", "jinja2"}),
    ],
)
def test_commands_import_only_what_they_need(command: str, heavy: set[str]) -> None:
    code = f"import sys\n{command}\nprint('loaded:', *sys.modules, file=sys.stderr)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    loaded = run.stderr.rpartition("loaded:")[2].split()
    assert not heavy & set(loaded)


def test_an_unknown_target_is_told_with_those_there_are() -> None:
    assert_clear(run_kulvert(["build", "--target", "nativ"]), "nativ", "native")


@pytest.mark.parametrize("arguments", [["switch", "--help"], ["--help"], ["status", "--switch", "127.0.0.1:port"]])
@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_standard_streams_are_no_failure_of_ours(arguments: list[str], closed: str) -> None:
    command = [sys.executable, "-m", "kulvert", *arguments]
    result = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command], capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == (1 if arguments[0] == "status" else 0), result.stderr
    assert "internal failure" not in result.stderr


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_build_that_is_ended_leaves_nothing_half_done(tmp_path: Path, signum: int, status: int) -> None:
    folder = tmp_path / "out"
    command = [sys.executable, "-m", "kulvert", "build", "--target", "small", "--output-dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        while process.poll() is None and not list(folder.glob(".build-*")):
            time.sleep(0.005)
        process.send_signal(signum)
        said, _ = process.communicate(timeout=120)
    assert process.returncode == status, said
    assert not said.strip()
    assert {path.name for path in folder.iterdir()} <= {"sizes.p4"}
