"""The switch's command line: simple_switch_grpc's, as far as it makes sense here.

Options that BMv2 knows but that mean nothing to this switch are accepted and named in one warning, so that existing scripts
keep working; anything else is refused. BMv2 wants its target's options behind `--`; here `--` is optional.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

DEFAULT_ADDRESS = "127.0.0.1:9559"
DEFAULT_THRIFT_PORT = 9090
DEFAULT_DROP_PORT = 511
MAX_PORT = 511
MAX_WORKERS = 64
MAX_QUEUES = 32
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

# BMv2's options that are accepted and ignored: they are about parts that this switch does not have.
_IGNORED_FLAGS = ("--debugger", "--warn-on-invalid-hdr-read", "--ret-zero-on-invalid-hdr-read")
_IGNORED_VALUES = (
    "--packet-in",
    "--load-modules",
    "--nanolog",
    "--notifications-addr",
    "--debugger-addr",
    "--max-port-count",
    "--max-mc-groups",
    "--max-l1-entries",
    "--max-l2-entries",
)
_QUIETLY_IGNORED = (
    "--notifications-addr",
    "--max-port-count",
    "--max-mc-groups",
    "--max-l1-entries",
    "--max-l2-entries",
)
"""Of these, the ones without which everything works the same."""


class UsageError(Exception):
    """The arguments are wrong. `str()` says which one and what was expected."""


class PortOption(msgspec.Struct, frozen=True):
    """One `-i PORT@INTERFACE`."""

    port: int
    interface: str

    def __str__(self) -> str:
        return f"{self.port}@{self.interface}"


class TlsFiles(msgspec.Struct, frozen=True):
    """PEM files of `--grpc-server-ssl`."""

    certificate: Path
    key: Path
    ca_certificate: Path | None
    require_client_certificate: bool


class SwitchOptions(msgspec.Struct, frozen=True):
    """What the switch is to do.

    Attributes:
        program: the BMv2 JSON to start with; None to start empty.
        cpu_port: None disables packet-in and packet-out.
        log_file: None logs to the console if `log_console`, else warnings only, to standard error.
        log_max_bytes, log_max_files: the log file is rotated at this size; 0 for never.
        ready_fd, ready_file: told when the switch is ready.
        thrift_port: where BMv2's Thrift services listen; None for nowhere, 0 for any port.
        files_wait_s: ports are pcap files named after their interfaces, read after so many seconds; None: interfaces.
        pcap_directory: where a copy of each port's packets is written, or None.
        dump_bytes: so many bytes of each packet go to the log.
        restore_state: what `serialize_state` wrote, to be written into the program at the start.
        trace: "text" or "json": what happens to each packet is told, to trace_file or standard output; None: it is not.
        packet_address: where packets of all ports are given and taken over gRPC, instead of on interfaces; or None.
        metrics_address: where Prometheus metrics are served, or None.
        grpc: P4Runtime is served; simple_switch does not.
        warnings: one line each, for the user.
    """

    ports: tuple[PortOption, ...] = ()
    program: Path | None = None
    device_id: int = 0
    address: str = DEFAULT_ADDRESS
    tls: TlsFiles | None = None
    cpu_port: int | None = None
    drop_port: int = DEFAULT_DROP_PORT
    workers: int = 1
    priority_queues: int = 1
    log_console: bool = False
    log_file: Path | None = None
    log_level: int = logging.INFO
    log_max_bytes: int = 0
    log_max_files: int = 1
    ready_fd: int | None = None
    ready_file: Path | None = None
    thrift_port: int | None = None
    swap_enabled: bool = True
    files_wait_s: float | None = None
    pcap_directory: Path | None = None
    dump_bytes: int = 0
    restore_state: Path | None = None
    trace: str | None = None
    trace_file: Path | None = None
    packet_address: str | None = None
    metrics_address: str | None = None
    grpc: bool = True
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
    general.add_argument(
        "--log-file-max-size", type=_number("a size in bytes", 1, 2**40), metavar="BYTES", help=argparse.SUPPRESS
    )
    general.add_argument(
        "--log-file-max-files", type=_number("a number of files", 1, 10000), metavar="N", help=argparse.SUPPRESS
    )
    general.add_argument(
        "--thrift-port",
        type=_number("a port", 0, 65535),
        metavar="PORT",
        help="serve BMv2's Thrift calls too, on 127.0.0.1:PORT, for simple_switch_CLI (default: no)",
    )
    general.add_argument(
        "--use-files",
        type=_number("a number of seconds", 0, 86400),
        metavar="SECONDS",
        help="ports are pcap files: IFACE_in.pcap is read after SECONDS, IFACE_out.pcap is written",
    )
    general.add_argument(
        "--pcap",
        nargs="?",
        const=Path("."),
        type=Path,
        metavar="DIR",
        help="write each port's packets to DIR/IFACE_in.pcap and DIR/IFACE_out.pcap",
    )
    general.add_argument(
        "--dump-packet-data",
        type=_number("a number of bytes", 0, 65535),
        default=0,
        metavar="BYTES",
        help="log so many bytes of each packet that comes and goes",
    )
    general.add_argument(
        "--trace",
        nargs="?",
        const="text",
        choices=["text", "json"],
        metavar="FORMAT",
        help="tell what happens to each packet: states, tables, entries, actions; text (the default) or json",
    )
    general.add_argument("--trace-file", type=Path, metavar="FILE", help="tell it to FILE, not standard output")
    general.add_argument(
        "--metrics-address", type=_address, metavar="HOST:PORT", help="serve Prometheus metrics there (default: no)"
    )
    general.add_argument(
        "--restore-state", type=Path, metavar="FILE", help="start with the state that serialize_state wrote to FILE"
    )
    target = parser.add_argument_group("target options (also behind --, as BMv2 wants them)")
    target.add_argument(
        "--grpc-server-addr",
        type=_address,
        default=DEFAULT_ADDRESS,
        metavar="HOST:PORT",
        help=f"where P4Runtime listens (default {DEFAULT_ADDRESS}; BMv2's is 0.0.0.0:9559)",
    )
    target.add_argument(
        "--dp-grpc-server-addr",
        type=_address,
        metavar="HOST:PORT",
        help="packets come and go over gRPC there (p4.bm.DataplaneInterface), on all ports, not on interfaces",
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
    target.add_argument(
        "--workers",
        type=_number("a number of threads", 1, MAX_WORKERS),
        default=1,
        metavar="N",
        help="packet threads, for programs whose state allows more than one (default 1)",
    )
    target.add_argument(
        "--priority-queues",
        type=_number("a number of queues", 1, MAX_QUEUES),
        default=1,
        metavar="N",
        help="queues of each port, one for each priority of a packet from 0 on (default 1)",
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
    swap = parser.add_mutually_exclusive_group()
    swap.add_argument("--enable-swap", action="store_true", default=None, help=argparse.SUPPRESS)
    swap.add_argument("--disable-swap", action="store_true", default=None, help=argparse.SUPPRESS)
    return parser


def parse_args(argv: Sequence[str], *, simple: bool = False) -> SwitchOptions:
    """Parse the arguments after `kulvert switch`, other than --help and --version.

    Args:
        simple: as simple_switch would: no P4Runtime, Thrift on port 9090, a swap of configurations only if it is asked for.

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
        for option in (*_IGNORED_FLAGS, *_IGNORED_VALUES)
        if getattr(given, option[2:].replace("-", "_")) is not None and option not in _QUIETLY_IGNORED
    ]
    if ignored:
        warnings.append(f"ignored, as they mean nothing to this switch: {', '.join(ignored)}")
    if given.no_p4 and given.program is not None:
        warnings.append(f"{given.program} is ignored, as --no-p4 is given")
    elif not given.no_p4 and given.program is None:
        raise UsageError("no program: give a BMv2 JSON file, or --no-p4 to start without one")
    if given.dp_grpc_server_addr is not None and given.use_files is not None:
        raise UsageError("--dp-grpc-server-addr and --use-files exclude one another")
    if given.dp_grpc_server_addr is not None and given.interface:
        warnings.append(
            "the interfaces are not opened, as --dp-grpc-server-addr is given: packets come and go over gRPC"
        )
    if given.log_console and given.log_file:
        raise UsageError("--log-console and --log-file exclude one another")
    if given.restore_state is not None and (given.no_p4 or given.program is None):
        raise UsageError("--restore-state needs the program that the state is of")
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
        workers=given.workers,
        priority_queues=given.priority_queues,
        log_console=given.log_console,
        log_file=_with_suffix(given.log_file) if simple else given.log_file,
        log_level=LOG_LEVELS[given.log_level],
        log_max_bytes=given.log_file_max_size or 0,
        log_max_files=given.log_file_max_files or 1,
        ready_fd=given.ready_fd,
        ready_file=given.ready_file,
        thrift_port=DEFAULT_THRIFT_PORT if simple and given.thrift_port is None else given.thrift_port,
        swap_enabled=bool(given.enable_swap) if simple else not given.disable_swap,
        files_wait_s=given.use_files,
        pcap_directory=given.pcap,
        dump_bytes=given.dump_packet_data,
        restore_state=given.restore_state,
        trace=given.trace or ("text" if given.trace_file is not None else None),
        trace_file=given.trace_file,
        packet_address=given.dp_grpc_server_addr,
        metrics_address=given.metrics_address,
        grpc=not simple,
        warnings=tuple(warnings),
    )


def _with_suffix(path: Path | None) -> Path | None:
    """simple_switch adds .txt to its log file's name."""
    return None if path is None else path.with_name(path.name + ".txt")


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
    # Scripts, p4c's runner among them, pass "-i 0@veth0" as one word.
    number, at, interface = text.strip().partition("@")
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
