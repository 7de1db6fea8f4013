"""The switch as a process: `kulvert switch`, and `serve` for those who start it from Python."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from p4switch.addresses import why_not_listen
from p4switch.dataplane import Dataplane, DataplaneError
from p4switch.options import SwitchOptions, UsageError, make_parser, parse_args
from p4switch.tools import THRIFT_HOST, StartError, Tools

if TYPE_CHECKING:
    from p4switch.service.server import P4RuntimeServer

EXIT_FAILED = 1
EXIT_USAGE = 2
JSON_VERSION = "2.24"  # the newest format of the BMv2 JSON that is read

log = logging.getLogger("p4switch")


def run(argv: Sequence[str], *, simple: bool = False) -> int:
    """Run the switch with the arguments after `kulvert switch`, until a signal stops it. Returns the exit status.

    Args:
        simple: as simple_switch: no P4Runtime, but BMv2's Thrift calls.
    """
    if "-h" in argv or "--help" in argv:
        sys.stdout.write(make_parser().format_help())
        return 0
    if "-v" in argv or "--version" in argv:
        from importlib import metadata

        print(f"kulvert {metadata.version('kulvert')}")
        return 0
    if "--json-version" in argv:
        print(JSON_VERSION)
        return 0
    try:
        options = parse_args(argv, simple=simple)
    except UsageError as error:
        _complain(f"{error}\nTry 'kulvert switch --help'.")
        return EXIT_USAGE
    for warning in options.warnings:
        _complain(f"warning: {warning}")
    stop = threading.Event()
    try:
        with _stopped_by_signals(stop):
            _start_logging(options)
            serve(options, stop)
    except StartError as error:
        _complain(str(error))
        return EXIT_FAILED
    return 0


@contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """SIGINT and SIGTERM set `stop`.

    By way of a pipe, which C writes in whatever thread the signal meets, and a thread that reads it: a handler in Python
    runs in the main thread only, which does not wake from its wait for a signal that another thread took.
    """
    source, target = os.pipe()
    os.set_blocking(target, False)

    def watch() -> None:
        os.read(source, 1)
        stop.set()

    thread = threading.Thread(target=watch, name="signals", daemon=True)
    thread.start()
    signals = (signal.SIGINT, signal.SIGTERM)
    handlers = {sign: signal.signal(sign, lambda *_: None) for sign in signals}
    before = signal.set_wakeup_fd(target, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        for sign, handler in handlers.items():
            signal.signal(sign, handler)
        os.write(target, b"x")
        thread.join()
        os.close(source)
        os.close(target)


def serve(
    options: SwitchOptions, stop: threading.Event, make_dataplane: Callable[[SwitchOptions], Dataplane] | None = None
) -> None:
    """Run the switch until `stop` is set.

    Args:
        make_dataplane: the native data plane if not given.

    Raises:
        StartError: a file, interface, address or the C compiler is not there, or not usable.
    """
    program = _read(options.program, "program") if options.program else None
    if options.grpc and (why := why_not_listen(options.address)) is not None:
        raise StartError(f"cannot listen on {options.address}: {why}")
    with ExitStack() as stack:
        try:
            dataplane = make_dataplane(options) if make_dataplane is not None else _native_dataplane(options, program)
            stack.callback(dataplane.close)
            tools = Tools(options, dataplane, stack)
            if program is not None:
                try:
                    dataplane.load(program)
                except DataplaneError as error:
                    raise StartError(f"{options.program}: {error}") from None
            tools.open_ports()
            # Packets are forwarded from here on; gRPC and what it serves take as long again to be imported.
            server = _p4runtime(options, dataplane) if options.grpc else None
            if options.packet_address is not None:
                _import_service()
                tools.start_packets()
            tools.start()
            observe_write = tools.start_metrics()
            if server is not None:
                server.on_write = observe_write
                stack.callback(server.stop)
                server.start()
        except DataplaneError as error:
            raise StartError(str(error)) from None
        _announce(options, server.port if server is not None else None, tools)
        stop.wait()
        log.info("stopping")


def _import_service() -> None:
    # gRPC's own words on standard error say nothing that an exception does not.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    importlib.import_module("p4switch.service.server")


def _p4runtime(options: SwitchOptions, dataplane: Dataplane) -> P4RuntimeServer:
    _import_service()
    from p4switch.service.core import Device
    from p4switch.service.server import BindError, P4RuntimeServer, TlsOptions

    tls = None
    if options.tls is not None:
        tls = TlsOptions(
            certificate=_read(options.tls.certificate, "certificate"),
            key=_read(options.tls.key, "key"),
            ca_certificate=_read(options.tls.ca_certificate, "certificate") if options.tls.ca_certificate else None,
            require_client_certificate=options.tls.require_client_certificate,
        )
    try:
        return P4RuntimeServer(Device(options.device_id, dataplane), options.address, tls)
    except BindError as error:
        raise StartError(str(error)) from None


def _native_dataplane(options: SwitchOptions, program: bytes | None) -> Dataplane:
    from p4switch.native import NativeDataplane
    from p4switch.native.compiler import in_background
    from p4switch.native.programs import begin

    begun = begin(program, traced=options.trace is not None) if program is not None else None
    if begun is not None and not begun.result.done():  # the C compiler has the processors for a while
        in_background(_import_service)
    return NativeDataplane(
        cpu_port=options.cpu_port,
        drop_port=options.drop_port,
        log=logging.getLogger("p4switch.program").info,
        workers=options.workers,
        queues=options.priority_queues,
        begun=begun,
    )


def _announce(options: SwitchOptions, grpc_port: int | None, tools: Tools) -> None:
    """Say that the switch is ready: on standard output, and where the caller asked for it."""
    host = options.address.rpartition(":")[0]
    served: list[str] = []
    if grpc_port is not None:
        served.append(f"{'P4Runtime over TLS' if options.tls else 'P4Runtime'} on {host}:{grpc_port}")
    if tools.thrift_port is not None:
        served.append(f"Thrift on {THRIFT_HOST}:{tools.thrift_port}")
    if tools.packet_port is not None:
        served.append(f"packets on {(options.packet_address or '').rpartition(':')[0]}:{tools.packet_port}")
    if tools.metrics_port is not None:
        metrics_host = (options.metrics_address or "").rpartition(":")[0]
        served.append(f"metrics on {metrics_host}:{tools.metrics_port}")
    ports = " ".join(str(port) for port in options.ports) or "none"
    cpu = f"CPU port {options.cpu_port}" if options.cpu_port is not None else "no CPU port"
    program = options.program or "none yet"
    line = (
        f"kulvert switch ready: {', '.join(served)}, device {options.device_id}, ports {ports}, {cpu}, "
        f"program {program}"
    )
    with suppress(BrokenPipeError):
        print(line, flush=True)
    if options.ready_file is not None:
        options.ready_file.write_text(line + "\n")
    if options.ready_fd is not None:
        with suppress(BrokenPipeError):
            os.write(options.ready_fd, f"{line}\n".encode())
            os.close(options.ready_fd)


def _start_logging(options: SwitchOptions) -> None:
    handler: logging.Handler
    if options.log_file is not None:
        try:
            if options.log_max_bytes:
                from logging.handlers import RotatingFileHandler

                handler = RotatingFileHandler(
                    options.log_file, maxBytes=options.log_max_bytes, backupCount=max(0, options.log_max_files - 1)
                )
            else:
                handler = logging.FileHandler(options.log_file, mode="w")
        except OSError as error:
            raise StartError(f"cannot write the log file {options.log_file}: {error.strerror}") from None
    elif options.log_console:
        handler = logging.StreamHandler(sys.stdout)
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("p4switch")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(options.log_level)


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StartError(f"cannot read the {what} {path}: {error.strerror}") from None


def _complain(message: str) -> None:
    with suppress(BrokenPipeError):
        print(f"kulvert switch: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
