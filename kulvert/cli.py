"""The `kulvert` command.

Each subcommand lives in a module of `kulvert.commands` that imports click alone at its top, and what it runs only when
it runs: `kulvert --help` and `kulvert compile` must start at once.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, NamedTuple

from kulvert.failures import EXIT_USAGE, Terminated, run_guarded

if TYPE_CHECKING:
    import click


class PassThrough(NamedTuple):
    """A command that takes another tool's arguments untouched, `--help` included. It needs nothing of click and does
    without its import: a compiler's cold start counts.

    Attributes:
        module: where its entry function is.
        function: takes the arguments, returns the exit status.
        short_help: its line in `kulvert --help`.
    """

    module: str
    function: str
    short_help: str

    def run(self, argv: list[str]) -> int:
        """Run the tool with `argv`; its exit status."""
        entry = getattr(importlib.import_module(self.module), self.function)
        return int(entry(argv) or 0)


COMMANDS: dict[str, str | PassThrough] = {
    "build": "kulvert.commands.build",
    "compile": PassThrough(
        "p4compiler.driver", "main", "Compile a P4_16 program for v1model (takes p4c-bm2-ss's arguments)."
    ),
    "switch": PassThrough(
        "p4switch.main", "run", "Run the native P4Runtime switch (takes simple_switch_grpc's arguments)."
    ),
    "graph": "kulvert.commands.graph",
    "controller": "kulvert.commands.controller",
    "status": "kulvert.commands.status",
    "trace": "kulvert.commands.trace",
    "tables": "kulvert.commands.tables",
    "connections": "kulvert.commands.connections",
    "diff": "kulvert.commands.diff",
    "shell": "kulvert.commands.shell",
    "lab": "kulvert.commands.lab",
    "ptf": "kulvert.commands.ptf",
    "cli": PassThrough(
        "p4switch.cli.main", "run", "Commands for a running switch (takes simple_switch_CLI's arguments)."
    ),
    "ports": "kulvert.commands.ports",
    "shims": "kulvert.commands.shims",
}
"""What each command is, in the order of `kulvert --help`: a module with a click command named `command`, or a tool."""


def main() -> None:
    """The entry point of the console script."""
    _fill_standard_streams()
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run(sys.argv[1:]))


def _terminate(_signum: int, _frame: FrameType | None) -> None:
    raise Terminated


def _fill_standard_streams() -> None:
    """Open what was closed of the standard streams (`kulvert … >&-`) onto nothing: else the next file that is opened, or a
    connection, would be what standard output is taken for."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - for as long as the process lives


def run(argv: Sequence[str]) -> int:
    """Run the command line `argv` (without the program's name); the exit status. Never raises."""
    name = f"kulvert {argv[0]}" if argv and argv[0] in COMMANDS else "kulvert"
    return run_guarded(_choose(list(argv)), name=name)


def _choose(argv: list[str]) -> Callable[[], int | None]:
    tool = COMMANDS.get(argv[0]) if argv else None
    if isinstance(tool, PassThrough):
        return partial(tool.run, argv[1:])
    return partial(_run_click, argv)


def _run_click(argv: list[str]) -> int | None:
    import click

    # gRPC's own words on standard error say nothing that an exception does not.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        status = make_group().main(args=argv, prog_name="kulvert", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as help_request:
        help_request.show()
        return EXIT_USAGE
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Abort:
        raise KeyboardInterrupt from None
    return status if isinstance(status, int) else 0


def make_group() -> click.Group:
    """The click group with every command, each imported when it is asked for."""
    import click

    class LazyGroup(click.Group):
        """A group that imports a command's module on demand and lists commands in our order."""

        def list_commands(self, ctx: click.Context) -> list[str]:
            return list(COMMANDS)

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            entry = COMMANDS.get(cmd_name)
            if entry is None:
                return None
            if isinstance(entry, PassThrough):
                return click.Command(cmd_name, short_help=entry.short_help)
            command = importlib.import_module(entry).command
            assert isinstance(command, click.Command)
            return command

    from importlib.metadata import PackageNotFoundError, version

    try:
        installed = version("kulvert")
    except PackageNotFoundError:  # run from a source tree that was never installed
        installed = "unknown"

    @click.group(
        cls=LazyGroup,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
        epilog="""\b
Start here:
  kulvert lab demo              the whole system on this machine, in a minute
  kulvert build --target native compile the node pipeline for a target
  kulvert COMMAND --help        options, defaults and examples

Exit status: 0 done, 1 something to put right (one line says what), 2 wrong usage,
70 a bug in Kulvert (KULVERT_DEBUG=1 shows the traceback), 130 interrupted.""",
    )
    @click.version_option(installed, prog_name="kulvert")
    def group() -> None:
        """Kubernetes networking, offloaded into a P4-programmable device or switch.

        Compiles the P4 pipeline, runs it on a native P4Runtime switch, and keeps it in step with Kubernetes'
        Services, EndpointSlices, Pods and NetworkPolicies.
        """

    return group
