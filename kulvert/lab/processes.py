"""The lab's long-running processes: the switch and the controller, with their output kept for when they fail."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from kulvert.failures import UserError

_TAIL_LINES = 20


class LabProcess:
    """A `kulvert` command running in the background. Its output goes to a log file."""

    def __init__(self, what: str, argv: Sequence[str], log: Path) -> None:
        self.what = what
        self.log = log
        self._argv = list(argv)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it (again). Raises UserError if it cannot be executed."""
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        with self.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    self._argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env=environment,
                )
            except OSError as error:
                raise UserError(f"cannot start {self.what}: {self._argv[0]}: {error.strerror}") from error

    @property
    def pid(self) -> int:
        """Its process id, inside the sandbox."""
        assert self._process is not None
        return self._process.pid

    def stop(self, timeout: float = 5.0) -> None:
        """SIGTERM, then SIGKILL after `timeout` seconds."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """SIGKILL: what a crash or the kernel's out-of-memory killer does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def check_alive(self) -> None:
        """Raise UserError with the end of the log if it has ended."""
        if self._process is not None and self._process.poll() is not None:
            raise UserError(f"{self.what} ended with status {self._process.returncode}:\n{self.tail()}")

    def tail(self) -> str:
        """The last lines of its output, indented."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        return "\n".join(f"    {line}" for line in lines[-_TAIL_LINES:]) or "    (it said nothing)"

    def wait_until(self, condition: Callable[[], bool], *, timeout: float, goal: str) -> None:
        """Poll `condition` until it holds.

        Raises:
            UserError: the process ended, or `timeout` seconds passed; with the end of its log.
        """
        deadline = time.monotonic() + timeout
        while not condition():
            self.check_alive()
            if time.monotonic() > deadline:
                raise UserError(f"{self.what}: not {goal} within {timeout:g} s:\n{self.tail()}")
            time.sleep(0.05)


def kulvert_command(*arguments: str) -> list[str]:
    """The command line of a `kulvert` subcommand, run by this same Python."""
    return [sys.executable, "-m", "kulvert", *arguments]


def accepts_connections(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a TCP connection to the port succeeds."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
