"""The switch as a process: `kulvert switch`, and `serve` for those who start it from Python."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from p4switch.dataplane import Dataplane, DataplaneError
from p4switch.options import SwitchOptions, UsageError, make_parser, parse_args

EXIT_FAILED = 1
EXIT_USAGE = 2

log = logging.getLogger("p4switch")


class StartError(Exception):
    """The switch cannot start. `str()` is one line for the user."""


def run(argv: Sequence[str]) -> int:
    """Run the switch with the arguments after `kulvert switch`, until a signal stops it. Returns the exit status."""
    if "-h" in argv or "--help" in argv:
        sys.stdout.write(make_parser().format_help())
        return 0
    if "-v" in argv or "--version" in argv:
        print(f"kulvert {metadata.version('kulvert')}")
        return 0
    try:
        options = parse_args(argv)
    except UsageError as error:
        _complain(f"{error}\nTry 'kulvert switch --help'.")
        return EXIT_USAGE
    for warning in options.warnings:
        _complain(f"warning: {warning}")
    stop = threading.Event()
    handlers = {sign: signal.signal(sign, lambda *_: stop.set()) for sign in (signal.SIGINT, signal.SIGTERM)}
    try:
        _start_logging(options)
        serve(options, stop)
    except StartError as error:
        _complain(str(error))
        return EXIT_FAILED
    finally:
        for sign, handler in handlers.items():
            signal.signal(sign, handler)
    return 0


def serve(
    options: SwitchOptions, stop: threading.Event, make_dataplane: Callable[[SwitchOptions], Dataplane] | None = None
) -> None:
    """Run the switch until `stop` is set.

    Args:
        make_dataplane: the native data plane if not given.

    Raises:
        StartError: a file, interface, address or the C compiler is not there, or not usable.
    """
    # gRPC's own words on standard error say nothing that an exception does not.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    from p4switch.service.core import Device
    from p4switch.service.server import BindError, P4RuntimeServer, TlsOptions

    program = _read(options.program, "program") if options.program else None
    tls = None
    if options.tls is not None:
        tls = TlsOptions(
            certificate=_read(options.tls.certificate, "certificate"),
            key=_read(options.tls.key, "key"),
            ca_certificate=_read(options.tls.ca_certificate, "certificate") if options.tls.ca_certificate else None,
            require_client_certificate=options.tls.require_client_certificate,
        )
    try:
        dataplane = (make_dataplane or _native_dataplane)(options)
    except DataplaneError as error:
        raise StartError(str(error)) from None
    try:
        try:
            # The address first: it is the cheapest to be refused, and nothing is answered before `start`.
            server = P4RuntimeServer(Device(options.device_id, dataplane), options.address, tls)
            if program is not None:
                try:
                    dataplane.load(program)
                except DataplaneError as error:
                    raise StartError(f"{options.program}: {error}") from None
            for port in options.ports:
                dataplane.add_port(port.port, port.interface)
            server.start()
        except BindError as error:
            raise StartError(str(error)) from None
        except DataplaneError as error:
            raise StartError(str(error)) from None
        try:
            _announce(options, server.port)
            stop.wait()
            log.info("stopping")
        finally:
            server.stop()
    finally:
        dataplane.close()


def _native_dataplane(options: SwitchOptions) -> Dataplane:
    from p4switch.native import NativeDataplane

    return NativeDataplane(
        cpu_port=options.cpu_port, drop_port=options.drop_port, log=logging.getLogger("p4switch.program").info
    )


def _announce(options: SwitchOptions, grpc_port: int) -> None:
    """Say that the switch is ready: on standard output, and where the caller asked for it."""
    host = options.address.rpartition(":")[0]
    ports = " ".join(str(port) for port in options.ports) or "none"
    cpu = f"CPU port {options.cpu_port}" if options.cpu_port is not None else "no CPU port"
    scheme = "P4Runtime over TLS" if options.tls else "P4Runtime"
    program = options.program or "none yet"
    line = (
        f"kulvert switch ready: {scheme} on {host}:{grpc_port}, device {options.device_id}, ports {ports}, {cpu}, "
        f"program {program}"
    )
    with suppress(BrokenPipeError):
        print(line, flush=True)
    if options.ready_file is not None:
        options.ready_file.write_text(line + "\n")
    if options.ready_fd is not None:
        with suppress(OSError):
            os.write(options.ready_fd, f"{line}\n".encode())
            os.close(options.ready_fd)


def _start_logging(options: SwitchOptions) -> None:
    handler: logging.Handler
    if options.log_file is not None:
        try:
            handler = logging.FileHandler(options.log_file)
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
