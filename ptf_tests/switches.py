"""The switches that the packet tests can run against: how each is started and what it needs to be there."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from kulvert.targets import SwitchName
from ptf_tests.client import wait_until_listening

ADDRESS = "127.0.0.1:9559"
"""Where the switch listens inside the tests' own namespace, so that nothing else can have it."""

DEVICE_ID = 1
BMV2 = "simple_switch_grpc"

_START_SECONDS = 60
_STOP_SECONDS = 10


class SwitchError(Exception):
    """The switch did not start."""


def is_installed(switch: SwitchName) -> bool:
    """Whether that switch can be started here."""
    return switch == "kulvert" or shutil.which(BMV2) is not None


@contextlib.contextmanager
def running(
    switch: SwitchName,
    ports: Mapping[int, str],
    cpu_port: int,
    log: Path,
    address: str = ADDRESS,
    thrift_port: int | None = None,
) -> Iterator[None]:
    """Start the switch without a pipeline, wait until it listens, stop it at the end.

    Args:
        ports: the interface of each.
        thrift_port: where the ports can be managed while it runs; None for nowhere.

    Raises:
        SwitchError: it ended at once, or does not listen; the message has the end of its log.
    """
    interfaces = [argument for port, name in ports.items() for argument in ("-i", f"{port}@{name}")]
    command = [sys.executable, "-m", "kulvert", "switch"] if switch == "kulvert" else [BMV2, "--log-level", "off"]
    command += ["--device-id", str(DEVICE_ID), *interfaces, "--no-p4"]
    command += [] if thrift_port is None else ["--thrift-port", str(thrift_port)]
    command += ["--", "--grpc-server-addr", address, "--cpu-port", str(cpu_port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            if not _listens(process, address):
                tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
                raise SwitchError(f"{' '.join(command)}\ndid not come up within {_START_SECONDS} s:\n{tail}")
            yield
        finally:
            _stop(process)


def _listens(process: subprocess.Popen[bytes], address: str) -> bool:
    for _ in range(_START_SECONDS * 2):
        if process.poll() is not None:
            return False
        if wait_until_listening(address, seconds=0.5):
            return True
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the switch and what it has started, politely first."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return
