"""The lab's private world: network, mount and process namespaces of its own, which the kernel takes down with it.

Whatever the lab makes — interfaces, network namespaces, processes, files under /run and /tmp/kulvert-lab — exists only
inside, so nothing can leak into the machine: when the lab's first process ends, however it ends (an exception, Ctrl-C,
SIGKILL, a crash), the kernel kills every process of its PID namespace, and with the last of them go the network
namespaces, the interfaces and the mounts. Not even root's lab touches the machine's own network.

Without root the same is done under a user namespace, in which the user is root.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

from kulvert.failures import EXIT_INTERRUPTED, Terminated, UserError, run_guarded
from kulvert.lab.syscalls import CloneFlag, MountFlag, die_with_parent, mount, unshare

RUN_DIR = Path("/run")
"""Covered by an empty tmpfs inside the sandbox."""

NETNS_DIR = RUN_DIR / "netns"
"""Where `ip netns` looks, too, so that its users find the lab's namespaces from a shell inside."""

_NAMESPACES = CloneFlag.NEWNET | CloneFlag.NEWPID | CloneFlag.NEWIPC

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_WATCHED = {*_FORWARDED, signal.SIGCHLD}

_REPEAT_SECONDS = 1.0
_CLEANUP_SECONDS = 60.0
"""So long the sandbox may take to clean up once it was asked to end."""

_GRACE_SIGNALS = 3
"""So many Ctrl-C or SIGTERM end the sandbox without waiting for its own clean-up (the kernel does it then)."""


def run_in_sandbox(body: Callable[[], int], *, name: str, on_start: Callable[[int], None] | None = None) -> int:
    """Run `body` as the first process of a sandbox, and wait for it.

    Must be called while the process has a single thread.

    Args:
        body: what runs inside; its result is the exit status. SIGTERM is raised there as `Terminated`, Ctrl-C as
            KeyboardInterrupt, both forwarded by this process.
        name: the command's name, for messages.
        on_start: called in this process, with the process id (outside's) of the sandbox's first process.

    Returns:
        the exit status of `body`.

    Raises:
        UserError: the machine grants no namespaces; the message says what is missing.
    """
    _enter_namespaces()
    sys.stdout.flush()
    sys.stderr.flush()
    before = {signal.Signals(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)}
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = run_guarded(lambda: _run_as_init(body, before), name=name)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    try:
        if on_start is not None:
            on_start(child)
        return _supervise(child)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _enter_namespaces() -> None:
    """Unshare what the sandbox needs; under a user namespace if we lack the privilege."""
    try:
        unshare(_NAMESPACES)
        return
    except OSError as error:
        if error.errno != errno.EPERM:
            raise UserError(_missing(error, os.geteuid())) from error
    uid, gid = os.geteuid(), os.getegid()
    try:
        unshare(CloneFlag.NEWUSER)
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"0 {uid} 1")
        _write("/proc/self/gid_map", f"0 {gid} 1")
        unshare(_NAMESPACES)
    except OSError as error:
        raise UserError(_missing(error, uid)) from error


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _missing(error: OSError, uid: int) -> str:
    """What the machine lacks, for the user `uid` who was refused."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno == errno.ENOSPC:  # namespaces(7): a limit is reached, which may be 0
        return "no more namespaces are allowed here: the sysctls user.max_{user,net,pid,mnt,ipc}_namespaces limit them"
    if uid == 0:
        return (
            f"network, mount and PID namespaces are needed, and this machine grants none ({reason}): "
            "in a container, start it with --privileged or --cap-add=SYS_ADMIN"
        )
    for knob, wanted in (
        ("kernel/unprivileged_userns_clone", "1"),
        ("kernel/apparmor_restrict_unprivileged_userns", "0"),
    ):
        path = Path("/proc/sys") / knob
        if path.exists() and path.read_text(encoding="ascii").strip() != wanted:
            setting = f"{knob.replace('/', '.')}={wanted}"
            return f"root is needed, or user namespaces, which this kernel withholds: sudo sysctl {setting}"
    return f"root is needed, or user namespaces, which this machine withholds ({reason}): run it as root"


def _run_as_init(body: Callable[[], int], before: set[signal.Signals]) -> int:
    """Set up the inside and run `body` there.

    The session is its own, so that Ctrl-C comes from the supervisor alone. The mount namespace is entered only here: the
    supervisor keeps the /proc of the outside. `before` is the signal mask to go back to.
    """
    die_with_parent(signal.SIGKILL)
    os.setsid()
    for signum in _FORWARDED:
        signal.signal(signum, _Once(KeyboardInterrupt if signum in (signal.SIGINT, signal.SIGQUIT) else Terminated))
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        unshare(CloneFlag.NEWNS)
        mount("none", "/", None, MountFlag.REC | MountFlag.PRIVATE)
    except OSError as error:
        raise UserError(_missing(error, os.geteuid())) from error
    mount("tmpfs", str(RUN_DIR), "tmpfs", MountFlag.NOSUID | MountFlag.NODEV, "mode=755,size=64m")
    NETNS_DIR.mkdir()
    # A container that masks parts of /proc does not let us have a clean one. The outer /proc still has /proc/self and
    # /proc/sys/net of the caller, which is all that the lab itself reads.
    with suppress(OSError):
        mount("proc", "/proc", "proc", MountFlag.NOSUID | MountFlag.NODEV | MountFlag.NOEXEC)
    return body()


def _supervise(child: int) -> int:
    """Wait for the sandbox, handing on what the user or the system asks of us. `_WATCHED` is blocked.

    A signal is repeated until the sandbox has ended: one that comes just before a process goes to sleep in a system call is
    noticed by Python only when the next one wakes it. The first process heeds the first one only.
    """
    received = 0
    asked: signal.Signals | None = None
    deadline = 0.0
    while True:
        information = signal.sigtimedwait(_WATCHED, _REPEAT_SECONDS)
        number = information.si_signo if information is not None else 0
        if number == signal.SIGCHLD or not number:
            ended, wait_status = os.waitpid(child, os.WNOHANG)
            if ended:
                break
        if number and number != signal.SIGCHLD:
            received += 1
            asked = signal.Signals(number)
            deadline = deadline or time.monotonic() + _CLEANUP_SECONDS
        if asked is not None and (not number or number == asked):
            impatient = received >= _GRACE_SIGNALS or time.monotonic() > deadline
            os.kill(child, signal.SIGKILL if impatient else asked)  # it is not reaped yet, so the id is its own
    status = os.waitstatus_to_exitcode(wait_status)
    return status if status >= 0 else EXIT_INTERRUPTED if received else 128 - status


class _Once:
    """A signal handler that raises `error` the first time, whichever signal comes, and lets the clean-up run after that."""

    heeded = False

    def __init__(self, error: type[BaseException]) -> None:
        self._error = error

    def __call__(self, _signum: int, _frame: FrameType | None) -> None:
        if not _Once.heeded:
            _Once.heeded = True
            raise self._error
