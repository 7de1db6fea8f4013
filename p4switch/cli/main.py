"""simple_switch_CLI's command line."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from contextlib import suppress

from p4switch.cli.arrays import ArrayCommands
from p4switch.cli.errors import CommandError
from p4switch.cli.profiles import ProfileCommands
from p4switch.cli.program import Program, read_program
from p4switch.cli.switch import SwitchCommands
from p4switch.thrift.client import ThriftClient
from p4switch.thrift.protocol import ApplicationError, ProtocolError

EXIT_FAILED = 1


class Shell(ProfileCommands, ArrayCommands, SwitchCommands):
    """All commands."""


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="simple_switch_CLI",
        description="Commands for a running switch, read from standard input: tables, counters, multicast, ports.",
        epilog="'help' lists the commands, 'help COMMAND' explains one.",
    )
    parser.add_argument("--thrift-port", type=int, default=9090, metavar="PORT", help="default 9090")
    parser.add_argument("--thrift-ip", default="localhost", metavar="HOST", help="default localhost")
    parser.add_argument("--json", metavar="FILE", help="the program; if not given, the switch is asked for it")
    parser.add_argument("--pre", choices=["None", "SimplePre", "SimplePreLAG"], help=argparse.SUPPRESS)
    return parser


def run(argv: Sequence[str]) -> int:
    """Run the commands on standard input. Returns the exit status."""
    given = make_parser().parse_args(list(argv))
    try:
        client = ThriftClient(given.thrift_ip, given.thrift_port)
    except OSError:
        print(f"Could not connect to thrift client on port {given.thrift_port}")
        print("Make sure the switch is running and that you have the right port")
        return EXIT_FAILED
    try:
        program = _program(client, given.json)
        shell = Shell(client, program)
        sys.stdout.flush()
        shell.cmdloop()
    except (CommandError, ApplicationError) as error:
        print(f"Error: {error}")
        return EXIT_FAILED
    except BrokenPipeError:
        return EXIT_FAILED
    except (ProtocolError, OSError) as error:
        print(f"Error: the connection to the switch is gone: {error}")
        return EXIT_FAILED
    except KeyboardInterrupt:
        print()
        return 130
    finally:
        with suppress(OSError):
            client.close()
    return 0


def _program(client: ThriftClient, path: str | None) -> Program:
    if path is None:
        print("Obtaining JSON from switch...")
        text = client.call("standard", "bm_get_config")
        print("Done")
        return read_program(text)
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from None
    if hashlib.md5(data, usedforsecurity=False).digest() != client.call("standard", "bm_get_config_md5"):
        print(f"WARNING: the switch runs another program than {path}")
    return read_program(data.decode(errors="replace"))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
