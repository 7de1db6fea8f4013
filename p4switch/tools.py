"""What a switch process has around its data plane but for P4Runtime: ports as the options say, captures, Thrift."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from p4switch.dataplane import Dataplane, DataplaneError
from p4switch.options import SwitchOptions

if TYPE_CHECKING:
    from p4switch.endpoints.gate import Gate
    from p4switch.native import NativeDataplane
    from p4switch.native.trace import PacketTrace
    from p4switch.thrift.state import SwitchState

log = logging.getLogger("p4switch")

THRIFT_HOST = "127.0.0.1"


class StartError(Exception):
    """The switch cannot start. `str()` is one line for the user."""


class Tools:
    """Opens what the options ask for, in the order in which simple_switch does: its clients wait for the Thrift port.

    Args:
        stack: is given what has to be closed.
    """

    def __init__(self, options: SwitchOptions, dataplane: Dataplane, stack: ExitStack) -> None:
        self._options = options
        self._dataplane = dataplane
        self._stack = stack
        self.thrift_port: int | None = None
        self.metrics_port: int | None = None
        self.packet_port: int | None = None
        self._gate: Gate | None = None
        if options.trace is not None:  # before a program is loaded, as it is compiled for that
            self._start_trace(options.trace)

    def _native(self, what: str) -> NativeDataplane:
        """The data plane, where something other than P4Runtime is asked of it."""
        from p4switch.native import NativeDataplane

        if not isinstance(self._dataplane, NativeDataplane):
            raise StartError(f"{what} needs the native data plane")
        return self._dataplane

    def open_ports(self) -> None:
        if self._options.pcap_directory is not None or self._options.dump_bytes:
            self._start_capture()
        if self._options.packet_address is not None:
            self._gate = self._native("--dp-grpc-server-addr").endpoints.open_gate()
        if self._options.files_wait_s is not None:
            self._open_files(self._options.files_wait_s)
            return
        for port in self._options.ports:
            self._dataplane.add_port(port.port, port.interface)

    def start_packets(self) -> None:
        """Serve packets over gRPC, if asked for."""
        if self._gate is None or self._options.packet_address is None:
            return
        from p4switch.service.packet_stream import PacketStreamServer
        from p4switch.service.server import BindError

        try:
            server = PacketStreamServer(self._gate, self._options.device_id, self._options.packet_address)
        except BindError as error:
            raise StartError(str(error)) from None
        self._stack.callback(server.stop)
        server.start()
        self.packet_port = server.port

    def _open_files(self, wait_s: float) -> None:
        from p4switch.endpoints.pcap import FileReader, open_file_port

        endpoints = self._native("--use-files").endpoints
        ports = []
        for option in sorted(self._options.ports, key=lambda option: option.port):
            try:
                port = open_file_port(option.port, option.interface)
            except OSError as error:
                raise StartError(f"port {option.port}: cannot open {error.filename}: {error.strerror}") from None
            endpoints.put(option.port, port)
            ports.append(port)
        reader = FileReader(ports, wait_s, endpoints.receive)
        self._stack.callback(reader.stop)
        reader.start()

    def _start_capture(self) -> None:
        from p4switch.endpoints.capture import Capture

        plane = self._native("--pcap")
        directory = self._options.pcap_directory
        if directory is not None and not directory.is_dir():
            raise StartError(f"--pcap: {directory} is no directory")

        def interface_of(number: int) -> str | None:
            return next((port.interface for port in plane.ports() if port.port == number), None)

        capture = Capture(directory, self._options.dump_bytes, interface_of)
        plane.on_frame(capture)
        self._stack.callback(capture.close)

    def start_metrics(self) -> Callable[[float, bool], None] | None:
        """Serve the metrics, if asked for; what to tell of each Write."""
        if self._options.metrics_address is None:
            return None
        from p4switch.metrics import MetricsServer

        host, _, port = self._options.metrics_address.rpartition(":")
        try:
            server = MetricsServer(self._native("--metrics-address"), host.strip("[]"), int(port))
        except OSError as error:
            raise StartError(f"cannot serve metrics on {self._options.metrics_address}: {error.strerror}") from None
        self._stack.callback(server.stop)
        self.metrics_port = server.port
        return server.observe_write

    def _start_trace(self, form: str) -> None:
        path = self._options.trace_file
        output = sys.stdout
        if path is not None:
            try:
                output = self._stack.enter_context(path.open("w", encoding="utf-8"))
            except OSError as error:
                raise StartError(f"cannot write the trace {path}: {error.strerror}") from None

        def tell(trace: PacketTrace) -> None:
            with suppress(BrokenPipeError, ValueError):  # nobody reads it any more, or the switch is closing
                print(trace.to_json() if form == "json" else trace.to_text(), file=output, flush=True)

        self._native("--trace").on_trace(tell)

    def start(self) -> None:
        if self._options.thrift_port is None and self._options.restore_state is None:
            return
        from p4switch.thrift.server import make_server
        from p4switch.thrift.state import SwitchState

        state = SwitchState(
            self._native("--thrift-port"),
            device_id=self._options.device_id,
            swap_enabled=self._options.swap_enabled,
        )
        if self._options.restore_state is not None:
            self._restore(state)
        if self._options.thrift_port is None:
            return
        try:
            server = make_server(state, THRIFT_HOST, self._options.thrift_port)
        except OSError as error:
            raise StartError(
                f"cannot listen for Thrift on {THRIFT_HOST}:{self._options.thrift_port}: {error.strerror}"
            ) from None
        self._stack.callback(server.stop)
        server.start()
        self.thrift_port = server.port

    def _restore(self, state: SwitchState) -> None:
        from p4switch.thrift.snapshot import restore

        path = self._options.restore_state
        assert path is not None
        try:
            restore(state, json.loads(path.read_text()))
        except OSError as error:
            raise StartError(f"cannot read the saved state {path}: {error.strerror}") from None
        except (ValueError, DataplaneError) as error:
            raise StartError(f"{path}: {error}") from None
