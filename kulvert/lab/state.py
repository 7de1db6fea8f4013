"""Where a running lab is found by `kulvert lab exec` and `kulvert lab down`: one small file per user."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path

import msgspec

from kulvert.failures import UserError
from kulvert.lab.processes import kulvert_command
from kulvert.lab.sandbox import NETNS_DIR
from kulvert.lab.syscalls import CloneFlag, setns

_STOP_SECONDS = 60

_USER = os.getuid()
"""Who started this process. Without root the one that holds a lab is in a user namespace later on, where it is user 0."""


class RunningLab(msgspec.Struct, frozen=True):
    """The lab's first process: its id, and when it started, in clock ticks since boot, for ids are used again."""

    pid: int
    started: int


def _state_file() -> Path:
    folder = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(folder) / f"kulvert-lab-{_USER}.json"


SWITCH = "switch"
"""The place, for `kulvert lab exec`, where the switch and the controller listen."""


def remember_lab(pid: int) -> None:
    """Write down the lab of process `pid`, which our child is. A running lab stays the one that is remembered."""
    if _find() is None:
        state = msgspec.json.encode(RunningLab(pid, _start_time(pid)))
        path = _state_file()
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # /tmp is everybody's: follow no link
        with os.fdopen(descriptor, "wb") as file:
            file.write(state)


def forget_lab() -> None:
    """Remove the file, if its lab has ended."""
    if _find() is None:
        _state_file().unlink(missing_ok=True)


def running_lab() -> RunningLab:
    """The running lab. Raises UserError if there is none."""
    lab = _find()
    if lab is None:
        raise UserError("no lab is running", hint="kulvert lab up starts one")
    return lab


def _find() -> RunningLab | None:
    path = _state_file()
    try:
        if path.stat().st_uid != os.getuid():
            return None
        lab = msgspec.json.decode(path.read_bytes(), type=RunningLab)
        return lab if _start_time(lab.pid) == lab.started else None
    except (OSError, msgspec.MsgspecError, ValueError, IndexError):
        return None


def _start_time(pid: int) -> int:
    """Field 22 of /proc/PID/stat (proc(5)); the second, the command's name, may hold spaces and parentheses."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def stop_lab() -> None:
    """End the running lab and wait for it. Raises UserError."""
    lab = running_lab()
    os.kill(lab.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while _find() is not None:
        if time.monotonic() > deadline:
            os.kill(lab.pid, signal.SIGKILL)  # the kernel takes everything else of the sandbox down with it
        time.sleep(0.05)


def run_in_lab(pod: str, argv: list[str]) -> int:
    """Run a command in a pod of the running lab, or, as `switch`, where its switch and controller are; its exit status.

    The command `kulvert` is this very one.

    Raises:
        UserError: no lab, no such pod, or no such command.
    """
    lab = running_lab()
    kinds = {"user": CloneFlag.NEWUSER, "pid": CloneFlag.NEWPID, "ipc": CloneFlag.NEWIPC, "mnt": CloneFlag.NEWNS}
    descriptors = []
    outside = os.open(f"/proc/{lab.pid}/ns/net", os.O_RDONLY)
    for name, kind in kinds.items():
        path = f"/proc/{lab.pid}/ns/{name}"
        if os.stat(path).st_ino != os.stat(f"/proc/self/ns/{name}").st_ino:
            descriptors.append((os.open(path, os.O_RDONLY), kind))
    for descriptor, kind in descriptors:
        setns(descriptor, kind)
        os.close(descriptor)
    names = sorted(path.name for path in NETNS_DIR.iterdir())
    chosen = [name for name in names if name == pod] or [name for name in names if name.startswith(pod)]
    if not chosen and pod != SWITCH:
        raise UserError(f"the lab has no pod {pod!r}; it has {', '.join([*names, SWITCH])}")
    namespace = outside if pod == SWITCH else os.open(NETNS_DIR / chosen[0], os.O_RDONLY)
    setns(namespace, CloneFlag.NEWNET)
    os.close(namespace)
    if argv[0] == "kulvert":
        argv = kulvert_command(*argv[1:])
    child = os.fork()  # only a child is in the PID namespace
    if child == 0:
        try:
            os.execvp(argv[0], argv)
        except OSError as error:
            os.write(2, f"kulvert lab exec: error: {argv[0]}: {error.strerror}\n".encode())
        os._exit(127)
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        signal.signal(signal.SIGINT, previous)
