"""The two switches that are compared: BMv2's simple_switch_grpc as a process, and ours within this one."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import grpc

from p4base.messages import p4i
from p4switch.native import NativeDataplane
from p4switch.service import dataplane_messages
from p4switch.service.core import Device
from p4switch.service.server import P4RuntimeServer
from p4switch.thrift.client import ThriftClient
from p4switch.thrift.server import make_server
from p4switch.thrift.state import SwitchState
from tests.p4switch.differential.client import DEVICE_ID, P4RuntimeClient
from tests.ports import free_port

CPU_PORT = 500
Frame = tuple[int, bytes]
"""A port and a frame."""


class Side(Protocol):
    """A switch under test."""

    client: P4RuntimeClient
    thrift: ThriftClient

    def configure(self, p4info: p4i.P4Info, bmv2_json: bytes) -> None: ...

    def process(self, frames: Sequence[Frame]) -> list[list[Frame]]:
        """What comes out for each frame, packet-ins aside. A frame follows when all is done that came of the one before."""

    def close(self) -> None: ...


class Ours:
    """A native data plane with its P4Runtime and Thrift services."""

    def __init__(self) -> None:
        self._plane = NativeDataplane(cpu_port=CPU_PORT)
        self._server = P4RuntimeServer(Device(DEVICE_ID, self._plane), "127.0.0.1:0")
        self._server.start()
        self.client = P4RuntimeClient(f"127.0.0.1:{self._server.port}")
        self._thrift = make_server(SwitchState(self._plane, device_id=DEVICE_ID, swap_enabled=True), "127.0.0.1", 0)
        self._thrift.start()
        self.thrift = ThriftClient("127.0.0.1", self._thrift.port)

    def configure(self, p4info: p4i.P4Info, bmv2_json: bytes) -> None:
        self.client.configure(p4info, bmv2_json)

    def process(self, frames: Sequence[Frame]) -> list[list[Frame]]:
        out = []
        for port, frame in frames:
            left = self._plane.inject(port, frame)
            for number, packet in left:
                if number == CPU_PORT:
                    assert self._plane._packet_in is not None
                    self._plane._packet_in(packet)
            out.append([item for item in left if item[0] != CPU_PORT])
        return out

    def close(self) -> None:
        self.thrift.close()
        self._thrift.stop()
        self.client.close()
        self._server.stop(0)
        self._plane.close()


class Bmv2:
    """simple_switch_grpc, given and giving packets over its gRPC data plane interface.

    Args:
        folder: where its log goes.
        program: another switch that takes the same arguments.
    """

    def __init__(self, folder: Path, program: Sequence[str] = ("simple_switch_grpc",)) -> None:
        executable = shutil.which(program[0])
        assert executable is not None
        address, packets, thrift = (f"127.0.0.1:{port}" for port in free_ports(3))
        command = [
            executable,
            *program[1:],
            "--no-p4",
            "--device-id",
            str(DEVICE_ID),
            "--thrift-port",
            thrift.rpartition(":")[2],
        ]
        command += ["--", "--grpc-server-addr", address, "--cpu-port", str(CPU_PORT), "--dp-grpc-server-addr", packets]
        self.log = folder / "simple_switch_grpc.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            self.client = P4RuntimeClient(address)
            self.thrift = self._connect(int(thrift.rpartition(":")[2]))
            self.channel = grpc.insecure_channel(packets)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        self._stream = self.channel.stream_stream(
            f"/{dataplane_messages.SERVICE}/PacketStream",
            request_serializer=dataplane_messages.PacketStreamRequest.SerializeToString,
            response_deserializer=dataplane_messages.PacketStreamResponse.FromString,
        )

    def _connect(self, port: int) -> ThriftClient:
        deadline = time.monotonic() + 100
        while True:
            try:
                return ThriftClient("127.0.0.1", port)
            except OSError:
                assert self._process.poll() is None, f"simple_switch_grpc ended: see {self.log}"
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def configure(self, p4info: p4i.P4Info, bmv2_json: bytes) -> None:
        self.client.configure(p4info, bmv2_json)

    def process(self, frames: Sequence[Frame]) -> list[list[Frame]]:
        out = []
        for port, frame in frames:
            request = dataplane_messages.PacketStreamRequest(id=1, device_id=DEVICE_ID, port=port, packet=frame)
            out.append(self._send(request))
            assert self._process.poll() is None, f"simple_switch_grpc ended: see {self.log}"
        return out

    def _send(self, request: Any) -> list[Frame]:
        """What comes of a packet: a stream of its own, which the switch ends when all that it has to do is done."""
        deadline = time.monotonic() + 100
        while True:
            try:
                answers = self._stream(iter([request]), wait_for_ready=True, timeout=100)
                return [(answer.port, answer.packet) for answer in answers]
            except grpc.RpcError as error:  # its first program takes the switch a moment
                assert isinstance(error, grpc.Call)
                if error.code() != grpc.StatusCode.UNAVAILABLE or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def close(self) -> None:
        self.thrift.close()
        self.client.close()
        self.channel.close()
        self._process.terminate()
        try:
            self._process.wait(100)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def free_ports(count: int) -> list[int]:
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return list(ports)


def listens(port: int) -> bool:
    """Whether somebody accepts connections there."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
