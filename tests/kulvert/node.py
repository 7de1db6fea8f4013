"""A node in this process: the native data plane behind a P4Runtime server, and a controller on a folder of manifests."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from controlplane.app import Controller, ControllerOptions
from kulvert.build import build
from kulvert.targets import load_target
from p4switch.native import NativeDataplane
from p4switch.service.core import Device
from p4switch.service.server import P4RuntimeServer

CPU_PORT = 510


@dataclass
class Node:
    """Where everything is; `apply` replaces the manifests and waits until the switch holds what they say."""

    dataplane: NativeDataplane
    controller: Controller
    address: str
    socket: Path
    manifests: Path

    def apply(self, values: list[dict[str, Any]]) -> None:
        """Replace the manifests at once: a file that is being written over is an empty one for a moment."""
        scratch = self.manifests / ".all.yaml"
        scratch.write_text("---\n".join(map(yaml.safe_dump, values)))
        scratch.replace(self.manifests / "all.yaml")

    @property
    def arguments(self) -> list[str]:
        """The options that tell a `kulvert` command where this node is."""
        return ["--switch", self.address, "--control-socket", str(self.socket)]

    def wait(self, condition: Callable[[], bool], seconds: float = 200.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not in {seconds} s: {self.controller.reconciler.not_ready()}"
            time.sleep(0.01)


@contextmanager
def running_node(folder: Path, values: list[dict[str, Any]], **options: Any) -> Iterator[Node]:
    """A node that has written everything once. `options` are the controller's."""
    manifests = folder / "manifests"
    manifests.mkdir()
    small = load_target("small")  # but for the connections: a test may open them as fast as it can, from one pod
    target = replace(
        small,
        connections=replace(small.connections, set_bits=16, unanswered_limit=1 << 16),
        timeouts=load_target("native").timeouts,  # nor does one end while the controller is busy
    )
    built = build(target, folder / "pipeline", "kulvert")
    dataplane = NativeDataplane(cpu_port=CPU_PORT)
    server = P4RuntimeServer(Device(0, dataplane), "127.0.0.1:0")
    server.start()
    address = f"127.0.0.1:{server.port}"
    chosen = ControllerOptions("node-a", built.p4info, built.bmv2_json, manifests=manifests, switch_address=address)
    chosen = replace(chosen, control_socket=folder / "c.sock", **options)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    stop = asyncio.Event()

    async def make() -> Controller:
        return Controller(chosen)

    try:
        node_values = "---\n".join(map(yaml.safe_dump, values))
        (manifests / "all.yaml").write_text(node_values)
        controller = asyncio.run_coroutine_threadsafe(make(), loop).result(100)
        running = asyncio.run_coroutine_threadsafe(controller.run(stop), loop)
        node = Node(dataplane, controller, address, folder / "c.sock", manifests)
        try:
            node.wait(controller.reconciler.synced.is_set)
            yield node
        finally:
            loop.call_soon_threadsafe(stop.set)
            running.result(100)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        server.stop(0)
        dataplane.close()
