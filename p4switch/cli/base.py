"""What all groups of commands share: the connection, the program, and how mistakes are told."""

from __future__ import annotations

import cmd
import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from p4switch.cli.errors import CommandError
from p4switch.cli.program import Program
from p4switch.thrift.client import ThriftClient
from p4switch.thrift.protocol import ApplicationError, RangeError, ThriftError

C = TypeVar("C", bound="Commands")
Run = Callable[[C, list[str]], None]


def command(usage: str, least: int, most: int | None = None) -> Callable[[Run[C]], Callable[[C, str], None]]:
    """Makes `do_NAME(line)` of a function that takes the words behind the name.

    Args:
        usage: its help.
        least, most: how many words it takes; `most` None: any number, -1: exactly `least`.
    """

    def decorate(function: Run[C]) -> Callable[[C, str], None]:
        @functools.wraps(function)
        def do(self: C, line: str) -> None:
            words = line.split()
            try:
                if most == -1 and len(words) != least:
                    raise CommandError(f"Wrong number of args, expected {least} but got {len(words)}")
                if len(words) < least:
                    raise CommandError("Insufficient number of args")
                if most is not None and most >= 0 and len(words) > most:
                    raise CommandError(f"Wrong number of args, expected {most} but got {len(words)}")
                function(self, words)
            except CommandError as error:
                print(f"{error.kind}: {error}")
            except ThriftError as error:
                print(f"Invalid {error.KIND} ({error})")
            except RangeError as error:
                print(f"Error: {error}")
            except ApplicationError as error:
                print(f"Error: the switch refused: {error}")

        do.__doc__ = usage
        return do

    return decorate


EXACTLY = -1


class Commands(cmd.Cmd):
    """Base of the groups; `cmd.Cmd` finds their `do_` methods."""

    prompt = "RuntimeCmd: "
    intro = "Control utility for runtime P4 table manipulation"

    def __init__(self, client: ThriftClient, program: Program) -> None:
        super().__init__()
        self.client = client
        self.program = program

    def standard(self, name: str, *arguments: Any) -> Any:
        return self.client.call("standard", name, *arguments)

    def emptyline(self) -> bool:
        return False  # cmd.Cmd would repeat the last command

    def do_EOF(self, line: str) -> bool:
        """Leave."""
        print()
        return True

    def do_shell(self, line: str) -> None:
        """shell COMMAND: run a command of the system's shell."""
        import subprocess

        result = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
        print(result.stdout)
        sys.stderr.write(result.stderr)
