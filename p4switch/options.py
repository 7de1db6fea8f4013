"""The switch's command line: simple_switch_grpc's, as far as it makes sense here.

Options that BMv2 knows but that mean nothing to this switch are accepted and named in one warning, so that existing scripts
keep working; anything else is refused. BMv2 wants its target's options behind `--`; here `--` is optional.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

DEFAULT_ADDRESS = "127.0.0.1:9559"
DEFAULT_DROP_PORT = 511
MAX_PORT = 511
MAX_DEVICE_ID = 2**64 - 1

LOG_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "off": logging.CRITICAL + 1,
}

_PROGRAM = "kulvert switch"

_DESCRIPTION = """\
Run a P4 switch: BMv2 JSON compiled to native code, programmed over P4Runtime.

PROGRAM.json is what p4c-bm2-ss or `kulvert compile` wrote. With --no-p4 the switch starts
empty and a P4Runtime client sends the pipeline (SetForwardingPipelineConfig); it may do so
as well to replace a program given here. Needs a C compiler (cc, or the ziglang package),
and CAP_NET_RAW for the interfaces."""

_EPILOG = """\
examples:
  kulvert switch -i 0@veth0 -i 1@veth1 --no-p4
  kulvert switch --device-id 1 -i 0@veth0 program.json -- --grpc-server-addr 0.0.0.0:9559 --cpu-port 510

The switch prints one line when it is ready and runs until SIGINT or SIGTERM.
Exit status: 0 stopped by a signal, 1 it could not start, 2 wrong arguments."""

# BMv2's options that are accepted and ignored, with the number of their values ("?" for an optional one).
_IGNORED_FLAGS = ("--debugger", "--disable-swap")
_IGNORED_VALUES = (
    "--use-files",
    "--packet-in",
    "--thrift-port",
    "--nanolog",
    "--log-file-max-size",
    "--log-file-max-files",
    "--notifications-addr",
    "--debugger-addr",
    "--restore-state",
    "--dump-packet-data",
    "--max-port-count",
    "--dp-grpc-server-addr",
    "--priority-queues",
    "--max-mc-groups",
    "--max-l1-entries",
    "--max-l2-entries",
)


class UsageError(Exception):
    """The arguments are wrong. `str()` says which one and what was expected."""


@dataclass(frozen=True, slots=True)
class PortOption:
    """One `-i PORT@INTERFACE`."""

    port: int
    interface: str

    def __str__(self) -> str:
        return f"{self.port}@{self.interface}"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of `--grpc-server-ssl`."""

    certificate: Path
    key: Path
    ca_certificate: Path | None
    require_client_certificate: bool


@dataclass(frozen=True, slots=True)
class SwitchOptions:
    """What the switch is to do.

    Attributes:
        program: the BMv2 JSON to start with; None to start empty.
        cpu_port: None disables packet-in and packet-out.
        log_file: None logs to the console if `log_console`, else warnings only, to standard error.
        ready_fd, ready_file: told when the switch is ready.
        warnings: one line each, for the user.
    """

    ports: tuple[PortOption, ...] = ()
    program: Path | None = None
    device_id: int = 0
    address: str = DEFAULT_ADDRESS
    tls: TlsFiles | None = None
    cpu_port: int | None = None
    drop_port: int = DEFAULT_DROP_PORT
    log_console: bool = False
    log_file: Path | None = None
    log_level: int = logging.INFO
    ready_fd: int | None = None
    ready_file: Path | None = None
    warnings: tuple[str, ...] = ()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def make_parser() -> argparse.ArgumentParser:
    """The parser; its help is what `kulvert switch --help` prints."""
    parser = _Parser(
        prog=_PROGRAM,
        usage=f"{_PROGRAM} [options] (PROGRAM.json | --no-p4) [-- [target options]]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument("program", nargs="?", type=Path, help=argparse.SUPPRESS)
    general = parser.add_argument_group("options")
    general.add_argument("-h", "--help", action="store_true", help="show this help and exit")
    general.add_argument("-v", "--version", action="store_true", help="show the version and exit")
    general.add_argument(
        "-i",
        "--interface",
        action="append",
        default=[],
        type=_port_option,
        metavar="PORT@IFACE",
        help="attach network interface IFACE as port PORT; may be repeated",
    )
    general.add_argument("--no-p4", action="store_true", help="start without a program")
    general.add_argument(
        "--device-id",
        type=_number("a device id", 0, MAX_DEVICE_ID),
        default=0,
        metavar="ID",
        help="the P4Runtime device id (default 0)",
    )
    general.add_argument("--log-console", action="store_true", help="log to standard output")
    general.add_argument("--log-file", type=Path, metavar="FILE", help="log to FILE")
    general.add_argument(
        "-L",
        "--log-level",
        choices=list(LOG_LEVELS),
        default="info",
        metavar="LEVEL",
        help=f"{', '.join(LOG_LEVELS)} (default info)",
    )
    general.add_argument("--log-flush", action="store_true", help=argparse.SUPPRESS)  # always the case here
    general.add_argument(
        "--ready-fd",
        type=_number("a file descriptor", 0, 65535),
        metavar="FD",
        help="write a line to this open descriptor when ready, and close it",
    )
    general.add_argument("--ready-file", type=Path, metavar="FILE", help="write that line to FILE when ready")
    target = parser.add_argument_group("target options (also behind --, as BMv2 wants them)")
    target.add_argument(
        "--grpc-server-addr",
        type=_address,
        default=DEFAULT_ADDRESS,
        metavar="HOST:PORT",
        help=f"where P4Runtime listens (default {DEFAULT_ADDRESS}; BMv2's is 0.0.0.0:9559)",
    )
    target.add_argument(
        "--cpu-port",
        type=_number("a port", 1, MAX_PORT),
        metavar="N",
        help="the port number of the controller, for packet-in and packet-out (default: none)",
    )
    target.add_argument(
        "--drop-port",
        type=_number("a port", 0, MAX_PORT),
        default=DEFAULT_DROP_PORT,
        metavar="N",
        help=f"the egress port that means drop (default {DEFAULT_DROP_PORT})",
    )
    target.add_argument("--grpc-server-ssl", action="store_true", help="use TLS; needs --grpc-server-cert and -key")
    target.add_argument("--grpc-server-cert", type=Path, metavar="PEM", help="the server's certificate chain")
    target.add_argument("--grpc-server-key", type=Path, metavar="PEM", help="the server's private key")
    target.add_argument("--grpc-server-cacert", type=Path, metavar="PEM", help="the authority of clients' certificates")
    target.add_argument(
        "--grpc-server-with-client-auth", action="store_true", help="refuse clients without a valid certificate"
    )
    for option in _IGNORED_FLAGS:
        parser.add_argument(option, action="store_true", default=None, help=argparse.SUPPRESS)
    for option in _IGNORED_VALUES:
        parser.add_argument(option, help=argparse.SUPPRESS)
    parser.add_argument("--pcap", nargs="?", const=".", help=argparse.SUPPRESS)
    return parser


def parse_args(argv: Sequence[str]) -> SwitchOptions:
    """Parse the arguments after `kulvert switch`, other than --help and --version.

    Raises:
        UsageError: an argument is unknown, wrong or missing.
    """
    if "--" in argv:
        split = list(argv).index("--")
        parser = make_parser()
        given = parser.parse_args([*argv[:split], *argv[split + 1 :]])
    else:
        given = make_parser().parse_args(list(argv))
    warnings = []
    ignored = [
        option
        for option in ("--pcap", *_IGNORED_FLAGS, *_IGNORED_VALUES)
        if getattr(given, option[2:].replace("-", "_")) is not None
    ]
    if ignored:
        warnings.append(f"ignored, as they mean nothing to this switch: {', '.join(ignored)}")
    if given.no_p4 and given.program is not None:
        warnings.append(f"{given.program} is ignored, as --no-p4 is given")
    elif not given.no_p4 and given.program is None:
        raise UsageError("no program: give a BMv2 JSON file, or --no-p4 to start without one")
    if given.log_console and given.log_file:
        raise UsageError("--log-console and --log-file exclude one another")
    ports: tuple[PortOption, ...] = tuple(given.interface)
    _check_ports(ports, given.cpu_port, given.drop_port)
    return SwitchOptions(
        ports=ports,
        program=None if given.no_p4 else given.program,
        device_id=given.device_id,
        address=given.grpc_server_addr,
        tls=_tls(given, warnings),
        cpu_port=given.cpu_port,
        drop_port=given.drop_port,
        log_console=given.log_console,
        log_file=given.log_file,
        log_level=LOG_LEVELS[given.log_level],
        ready_fd=given.ready_fd,
        ready_file=given.ready_file,
        warnings=tuple(warnings),
    )


def _check_ports(ports: Sequence[PortOption], cpu_port: int | None, drop_port: int) -> None:
    seen: dict[int, str] = {}
    for option in ports:
        if option.port in seen:
            raise UsageError(f"-i {option}: port {option.port} is already {seen[option.port]}")
        if option.interface in seen.values():
            raise UsageError(f"-i {option}: interface {option.interface} is a port already")
        if option.port == cpu_port:
            raise UsageError(f"-i {option}: {option.port} is the CPU port")
        if option.port == drop_port:
            raise UsageError(f"-i {option}: {option.port} is the drop port; choose another with --drop-port")
        seen[option.port] = option.interface
    if cpu_port == drop_port:
        raise UsageError(f"--cpu-port {cpu_port} is the drop port; choose another with --drop-port")


def _tls(given: argparse.Namespace, warnings: list[str]) -> TlsFiles | None:
    if not given.grpc_server_ssl:
        if given.grpc_server_cacert or given.grpc_server_cert or given.grpc_server_key:
            warnings.append("the PEM files are ignored, as --grpc-server-ssl is not given")
        if given.grpc_server_with_client_auth:
            warnings.append("--grpc-server-with-client-auth is ignored, as --grpc-server-ssl is not given")
        return None
    if given.grpc_server_cert is None or given.grpc_server_key is None:
        raise UsageError("--grpc-server-ssl needs --grpc-server-cert and --grpc-server-key")
    if given.grpc_server_with_client_auth and given.grpc_server_cacert is None:
        raise UsageError("--grpc-server-with-client-auth needs --grpc-server-cacert")
    return TlsFiles(
        certificate=given.grpc_server_cert,
        key=given.grpc_server_key,
        ca_certificate=given.grpc_server_cacert,
        require_client_certificate=given.grpc_server_with_client_auth,
    )


def _port_option(text: str) -> PortOption:
    number, at, interface = text.partition("@")
    if not at or not number.isdecimal() or not interface or int(number) > MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not PORT@INTERFACE with a port of 0 to {MAX_PORT}")
    return PortOption(int(number), interface)


def _number(what: str, low: int, high: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what} ({low} to {high})")
        return int(text)

    return number


def _address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return text
