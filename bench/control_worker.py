"""The controller itself, as it runs on a node, with stopwatches: what `bench.control_plane` starts and reads the results of.

python -m bench.control_worker --kubeconfig F --p4info F --device-config F --switch HOST:PORT --api URL [--endpoint N --services N --pods N]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sys
import time
from pathlib import Path

import aiohttp
import msgspec

_PROCESS_START = time.monotonic() - max(
    0.0,
    time.clock_gettime(time.CLOCK_BOOTTIME)
    - int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK"),
)

from bench.api_server import NODE  # noqa: E402  after the clock has been read
from controlplane import memory  # noqa: E402
from controlplane.app import Controller, ControllerOptions  # noqa: E402
from controlplane.logs import set_up_logging  # noqa: E402
from controlplane.options import LogFormat  # noqa: E402


class Outcome(msgspec.Struct):
    """Seconds, bytes and updates; the lists are one number for each change."""

    start_seconds: float = 0.0
    start_cpu_seconds: float = 0.0
    start_updates: int = 0
    entities: int = 0
    resident_bytes: int = 0
    endpoint_seconds: list[float] = []
    endpoint_updates: list[int] = []
    service_seconds: list[float] = []
    service_updates: list[int] = []
    pod_seconds: list[float] = []
    steady_seconds: list[float] = []
    steady_bytes: tuple[int, int, int] = (0, 0, 0)


def resident_bytes() -> int:
    """Resident memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Watch:
    """Says when the controller has next written something and has nothing more to do."""

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.updates = 0
        self._written = asyncio.Event()
        book = controller.reconciler._book

        def booked(written, seconds, kind):  # type: ignore[no-untyped-def]
            self.at = time.monotonic()
            self.updates += written.total
            if written.total:
                self._written.set()
            book(written, seconds, kind)

        controller.reconciler._book = booked  # type: ignore[method-assign]

    async def written(self) -> float:
        await asyncio.wait_for(self._written.wait(), 60)
        self._written.clear()
        return self.at


async def measure(arguments: argparse.Namespace) -> Outcome:
    options = ControllerOptions(
        NODE, arguments.p4info, arguments.device_config, kubeconfig=arguments.kubeconfig, switch_address=arguments.switch,
        resync_seconds=0, post_events=False, log_level="warning",
    )  # fmt: skip
    set_up_logging(LogFormat.TEXT, "warning")
    memory.begin()
    controller = Controller(options)
    watch = Watch(controller)
    stop = asyncio.Event()
    running = asyncio.create_task(controller.run(stop))
    synced = asyncio.create_task(controller.reconciler.synced.wait())
    await asyncio.wait({running, synced}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    outcome = Outcome(start_seconds=time.monotonic() - _PROCESS_START, start_cpu_seconds=time.process_time())
    outcome.start_updates = watch.updates
    outcome.entities = controller.reconciler.synchronizer.installed
    outcome.resident_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if controller.reconciler.problems:
        for problem in sorted(controller.reconciler.problems)[:5]:
            print(problem, file=sys.stderr)
    watch._written.clear()
    await asyncio.sleep(0.5)
    async with aiohttp.ClientSession() as session:

        async def change(what: str, number: int, generation: int = 0) -> tuple[float, int]:
            before = watch.updates
            body = {"what": what, "number": number, "generation": generation}
            async with session.post(f"{arguments.api}/bench/change", json=body) as response:
                at: float = (await response.json())["at"]
            seconds = await watch.written() - at
            if what == "service":  # its slices and then itself: the second may be a sync of its own
                await asyncio.sleep(0.03)
                if watch._written.is_set():
                    seconds = await watch.written() - at
            return seconds, watch.updates - before

        for index in range(arguments.endpoint_changes):
            seconds, updates = await change("endpoint", index % arguments.services, index + 1)
            outcome.endpoint_seconds.append(seconds)
            outcome.endpoint_updates.append(updates)
        for index in range(arguments.service_changes):
            seconds, updates = await change("service", arguments.services + index)
            outcome.service_seconds.append(seconds)
            outcome.service_updates.append(updates)
        for index in range(arguments.pod_changes):
            seconds, _ = await change("pod", arguments.pods + index)
            outcome.pod_seconds.append(seconds)
        if arguments.steady_seconds:
            first, begun, number, middle = resident_bytes(), time.monotonic(), 0, 0
            while time.monotonic() - begun < arguments.steady_seconds:
                number += 1
                if not middle and time.monotonic() - begun > arguments.steady_seconds / 2:
                    middle = resident_bytes()
                seconds, _ = await change("endpoint", number % arguments.services, 10_000 + number)
                outcome.steady_seconds.append(seconds)
                await asyncio.sleep(max(0.0, begun + number / 20 - time.monotonic()))
            outcome.steady_bytes = (first, middle, resident_bytes())
    stop.set()
    await running
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.control_worker")
    for name in ("kubeconfig", "p4info", "device-config"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("switch", "api"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("services", "pods", "endpoint-changes", "service-changes", "pod-changes"):
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--steady-seconds", type=float, default=0)
    outcome = asyncio.run(measure(parser.parse_args()))
    sys.stdout.write(msgspec.json.encode(outcome).decode() + "\n")


if __name__ == "__main__":
    main()
