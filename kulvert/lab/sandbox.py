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
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

from kulvert.failures import EXIT_INTERRUPTED, UserError, raise_terminated, run_guarded
from kulvert.lab.syscalls import CloneFlag, MountFlag, die_with_parent, mount, unshare

RUN_DIR = Path("/run")
"""Covered by an empty tmpfs inside the sandbox."""

NETNS_DIR = RUN_DIR / "netns"
"""Where `ip netns` looks, too, so that its users find the lab's namespaces from a shell inside."""

_NAMESPACES = CloneFlag.NEWNET | CloneFlag.NEWPID | CloneFlag.NEWIPC

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
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = run_guarded(lambda: _run_as_init(body), name=name)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    if on_start is not None:
        on_start(child)
    return _supervise(child)


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


def _run_as_init(body: Callable[[], int]) -> int:
    """Set up the inside and run `body` there.

    The session is its own, so that Ctrl-C comes from the supervisor alone. The mount namespace is entered only here: the
    supervisor keeps the /proc of the outside.
    """
    die_with_parent(signal.SIGKILL)
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, raise_terminated)
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
    """Wait for the sandbox, handing on what the user or the system asks of us."""
    received = 0

    def forward(signum: int, _frame: FrameType | None) -> None:
        nonlocal received
        received += 1
        try:
            os.kill(child, signal.SIGKILL if received >= _GRACE_SIGNALS else signum)
        except ProcessLookupError:
            return

    forwarded = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    previous = {signum: signal.signal(signum, forward) for signum in forwarded}
    try:
        while True:
            try:
                _, wait_status = os.waitpid(child, 0)
                break
            except InterruptedError:
                continue
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
    status = os.waitstatus_to_exitcode(wait_status)
    return status if status >= 0 else EXIT_INTERRUPTED if received else 128 - status
