"""The native switch in this process, and packets through it without any port: for tests that drive very many of them.

A `MemoryNode` is a data plane behind a P4Runtime server of its own, with the client that the packet tests use. `MemoryPorts` stands in for
ptf's data plane, so that a test of the stages runs on it unchanged.
"""

from __future__ import annotations

import contextlib
import unittest
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import ptf
from ptf import testutils

from kulvert.build import BuildResult
from kulvert.targets import Target, load_target
from p4switch.native import NativeDataplane
from p4switch.native.outside import TraceHandler
from p4switch.service.core import Device
from p4switch.service.server import P4RuntimeServer
from ptf_tests.client import Client
from ptf_tests.drop_reasons import DropReason

_DEVICE_ID = 1
_PATIENCE = 1000
_DROP_COUNTER = "node_ingress.drop_counter"
_STATE = ("connection_tags", "affinity_tags", "unanswered_counts", "fragment_tags")
"""Registers that say whether there is anything in the others."""


@dataclass
class MemoryNode:
    """A node's switch in memory, with the pipeline loaded and this process as its primary client."""

    pipeline: BuildResult
    dataplane: NativeDataplane
    client: Client
    address: str

    @property
    def target(self) -> Target:
        """What the pipeline was built for."""
        return self.pipeline.target

    def inject(self, port: int, frame: bytes) -> list[tuple[int, bytes]]:
        """What leaves, in order, as (port, frame), when `frame` arrives on `port`."""
        return self.dataplane.inject(port, frame)

    def drops(self) -> list[int]:
        """Packets dropped, by drop reason."""
        return [cell.packets for cell in self.dataplane.read_counter(_DROP_COUNTER, None)]

    def drop_of(self, before: list[int]) -> str:
        """The reason of the drop that was counted since `before`; "" if there was none."""
        for reason, (then, now) in enumerate(zip(before, self.drops(), strict=True)):
            if now != then:
                return DropReason(reason).name
        return ""

    def forget(self) -> None:
        """Forget all connections, clients and counts, as if the switch had just been started; its entries stay."""
        for register in _STATE:
            self.dataplane.write_register(register, None, 0)


def patient_target(target: Target) -> Target:
    """The same target with far longer timeouts: none of them passes within a test, however busy the machine is."""
    longer = {field.name: getattr(target.timeouts, field.name) * _PATIENCE for field in fields(target.timeouts)}
    return replace(target, timeouts=replace(target.timeouts, **longer))


def ample_target(set_bits: int = 12) -> Target:
    """The native target with tables of its size, and few enough connections to start with empty ones again and again."""
    native = patient_target(load_target("native"))
    return replace(
        native,
        connections=replace(native.connections, set_bits=set_bits, unanswered_limit=1 << (set_bits - 1)),
        affinity=replace(native.affinity, set_bits=10),
    )


@contextlib.contextmanager
def memory_node(pipeline: BuildResult, on_trace: TraceHandler | None = None) -> Iterator[MemoryNode]:
    """A node with this pipeline. With `on_trace` the pipeline is compiled to tell what happens to each packet."""
    dataplane = NativeDataplane(cpu_port=pipeline.target.ports.cpu)
    if on_trace is not None:
        dataplane.on_trace(on_trace)
    server = P4RuntimeServer(Device(_DEVICE_ID, dataplane), "127.0.0.1:0")
    server.start()
    address = f"127.0.0.1:{server.port}"
    client = Client(address, _DEVICE_ID, pipeline.p4info)
    try:
        client.become_primary()
        client.set_pipeline(pipeline.bmv2_json.read_bytes())
        yield MemoryNode(pipeline, dataplane, client, address)
    finally:
        client.close()
        server.stop(0)
        dataplane.close()


class MemoryPorts:
    """ptf's data plane over `NativeDataplane.inject`: what is sent is processed at once, and polled afterwards."""

    @dataclass(frozen=True, slots=True)
    class PollSuccess:
        """A frame that left."""

        port: int
        packet: bytes

    def __init__(self, dataplane: NativeDataplane) -> None:
        self._dataplane = dataplane
        self._waiting: deque[tuple[int, bytes]] = deque()

    def send(self, _device: int, port: int, packet: bytes) -> None:
        self._waiting.extend(self._dataplane.inject(port, packet))

    def poll(self, device_number: int = 0, timeout: float = 0) -> PollSuccess | None:
        return self.PollSuccess(*self._waiting.popleft()) if self._waiting else None

    def flush(self) -> None:
        self._waiting.clear()


def run_in_memory(tests: unittest.TestSuite, node: MemoryNode, results: Path, **more: object) -> unittest.TestResult:
    """Run tests of the stages on a node in memory, up to the first that fails.

    Args:
        results: the file that gets a line a test.
        more: parameters beside those that every test reads.
    """
    testutils.TEST_PARAMS = more | {
        "address": node.address,
        "device_id": str(_DEVICE_ID),
        "target": node.target,
        "p4info": str(node.pipeline.p4info),
        "json": str(node.pipeline.bmv2_json),
        "results": str(results),
    }
    ptf.dataplane_instance = MemoryPorts(node.dataplane)
    result = unittest.TestResult()
    result.failfast = True
    tests.run(result)
    return result
