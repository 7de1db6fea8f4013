"""The few Linux system calls that Python 3.11 does not offer: namespaces, mounts and the parent-death signal."""

from __future__ import annotations

import ctypes
import os
from enum import IntFlag


class CloneFlag(IntFlag):
    """Kinds of namespaces (clone(2))."""

    NEWNS = 0x00020000
    NEWIPC = 0x08000000
    NEWUSER = 0x10000000
    NEWPID = 0x20000000
    NEWNET = 0x40000000


class MountFlag(IntFlag):
    """Flags of mount(2)."""

    NONE = 0
    NOSUID = 0x2
    NODEV = 0x4
    NOEXEC = 0x8
    BIND = 0x1000
    REC = 0x4000
    PRIVATE = 0x40000


PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str, filename: str | None = None) -> None:
    if result == 0:
        return
    number = ctypes.get_errno()
    message = f"{call}: {os.strerror(number)}"
    raise OSError(number, message) if filename is None else OSError(number, message, filename)


def unshare(flags: CloneFlag) -> None:
    """Move the calling thread (NEWPID: its children) into new namespaces. Raises OSError."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def setns(fd: int, kind: CloneFlag) -> None:
    """Move the calling thread (NEWPID: its children) into the namespace of `fd`. Raises OSError."""
    _check(_libc.setns(ctypes.c_int(fd), ctypes.c_int(kind)), "setns")


def mount(source: str, target: str, kind: str | None, flags: MountFlag, data: str | None = None) -> None:
    """mount(2); `kind` None for bind mounts and changes of propagation. Raises OSError naming `target`."""
    result = _libc.mount(
        ctypes.c_char_p(os.fsencode(source)),
        ctypes.c_char_p(os.fsencode(target)),
        ctypes.c_char_p(kind.encode() if kind else None),
        ctypes.c_ulong(flags),
        ctypes.c_char_p(data.encode() if data else None),
    )
    _check(result, "mount", target)


def die_with_parent(signum: int) -> None:
    """Have the kernel send `signum` to this process when the parent that forked it ends."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signum), 0, 0, 0), "prctl")
