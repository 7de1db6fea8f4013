"""How the `kulvert` command ends when something goes wrong: one message, the right exit status, no traceback.

| what happened | status | message |
|---|---|---|
| wrong usage, a wrong value of an option | 2 | click's own, with the usage line |
| the user's input, files, network or machine | 1 | one line that names the place or the object |
| an internal failure | 70 (EX_SOFTWARE) | one message that asks for a report; the traceback with KULVERT_DEBUG=1 |
| Ctrl-C, SIGTERM | 130, 143 | none |

Nothing heavy is imported here: `kulvert compile` passes through this module on every start.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from types import TracebackType

EXIT_USER_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERNAL = 70
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class UserError(Exception):
    """Something that the user can put right. `str()` is the message: it names the file, the object or the option.

    Attributes:
        hint: what to do about it, a sentence; empty if the message says it all.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Terminated(SystemExit):
    """SIGTERM as an exception, so that every `finally` on the way out runs."""

    def __init__(self) -> None:
        super().__init__(EXIT_TERMINATED)


def debugging() -> bool:
    """Whether the user asked for tracebacks."""
    return os.environ.get("KULVERT_DEBUG", "") not in ("", "0")


def report(message: str) -> None:
    """Write `message` to standard error; a reader that has gone away is no reason to fail."""
    try:
        print(message, file=sys.stderr, flush=True)
    except OSError:
        return


def run_guarded(command: Callable[[], int | None], *, name: str) -> int:
    """Run `command` and turn whatever it raises into an exit status, and a message on standard error.

    Args:
        command: returns the exit status, None for 0.
        name: the command's name, for the messages.
    """
    try:
        return command() or 0
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except SystemExit as exit_request:
        return _status_of(exit_request)
    except BrokenPipeError:
        # The reader of our output has gone (`kulvert … | head`): be quiet, also when the interpreter flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_USER_ERROR
    except UserError as error:
        if debugging():
            traceback.print_exc()
        report(f"{name}: error: {error}" + (f"\n  {error.hint}" if error.hint else ""))
        return EXIT_USER_ERROR
    except OSError as error:
        if debugging():
            traceback.print_exc()
        report(f"{name}: error: {describe_os_error(error)}")
        return EXIT_USER_ERROR
    except MemoryError:
        report(f"{name}: error: out of memory")
        return EXIT_USER_ERROR
    except Exception as error:  # the one place where an internal failure ends
        report(describe_internal_failure(error, name))
        return EXIT_INTERNAL


def _status_of(exit_request: SystemExit) -> int:
    code = exit_request.code
    if code is None or isinstance(code, int):
        return code or 0
    report(str(code))
    return EXIT_USER_ERROR


def describe_os_error(error: OSError) -> str:
    """An OSError as a person would say it: the file first, no errno."""
    reason = error.strerror or str(error) or type(error).__name__
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    return f"{' -> '.join(names)}: {reason}" if names else reason


def describe_internal_failure(error: BaseException, name: str) -> str:
    """The message for a failure of ours: what, where, and what to do."""
    if debugging():
        return "".join(traceback.format_exception(error)).rstrip()
    place = _innermost_place(error.__traceback__)
    detail = str(error).strip()
    what = f"{type(error).__name__}: {detail}" if detail else type(error).__name__
    return (
        f"{name}: internal failure at {place}: {what}\n"
        "  This is a bug in Kulvert, not a mistake of yours. Please report it with the command line and its input;\n"
        "  KULVERT_DEBUG=1 shows the traceback."
    )


def _innermost_place(trace: TracebackType | None) -> str:
    """`package/module.py:line` of the innermost frame."""
    place = "an unknown place"
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "?")
        place = f"{module}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
