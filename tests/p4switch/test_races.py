"""The runtime under the thread sanitizer: packets on several threads, while entries, state and the program itself are written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from p4switch.dataplane import DataplaneError
from p4switch.native.compiler import find_compiler
from tests.p4switch.test_native_compiler import fixed_addresses

ROOT = Path(__file__).parents[2]

SCRIPT = """
import random, threading
from contextlib import suppress
from p4switch.dataplane import *
from p4switch.native import NativeDataplane
from tests.p4switch.compiled import compile_file, compiled
from tests.p4switch.differential.conftest import PROGRAMS
from tests.p4switch.test_native_packets import order
from tests.p4switch.test_native_tables import document, packet_bytes, random_row

rng = random.Random(1)


def while_packets_run(plane, frames, workers, write, rounds):
    stop = threading.Event()

    def run(worker):
        while not stop.is_set():
            plane.bench(frames, 200, worker)

    threads = [threading.Thread(target=run, args=(worker,)) for worker in range(workers)]
    for thread in threads:
        thread.start()
    for number in range(rounds):
        with suppress(DataplaneError):  # an entry that is there, or is not
            write(number)
    stop.set()
    for thread in threads:
        thread.join()


plane = NativeDataplane(workers=2)
plane.load(compiled("parallel"))
action = plane.default_action("ingress.kinds")


def write_entries(number):
    match = Match((0x88B5 if number % 3 == 0 else rng.randrange(200)).to_bytes(2, "big"))
    rng.choice([plane.insert_entry, plane.modify_entry, lambda t, m, a: plane.delete_entry(t, m)])("ingress.kinds", match, action)
    if number % 50 == 0:
        list(plane.read_entries("ingress.kinds"))
        plane.read_counter("ingress.seen", None)
        plane.write_counter("ingress.seen", None, Counter(0, 0))
        plane.write_register("ingress.ports", 1, number % 500)
        plane.read_register("ingress.last_seen", None)
    if number % 400 == 399:
        plane.load(compiled("parallel"))


while_packets_run(plane, [(port, order(0)) for port in range(4)], 2, write_entries, 800)
plane.close()

plane = NativeDataplane(cpu_port=500)
plane.on_digest(lambda samples: plane.acknowledge_digest(samples.digest, samples.list_id))
plane.on_packet_in(lambda frame: None)
paths = compile_file(PROGRAMS / "paths.p4")[0]
plane.load(paths)
frames = [(1, bytes([1 << way if way < 8 else 0, 1 << way - 8 if way >= 8 else 0, way % 4, 2, 0, 1 + way % 3, 40, way]) + bytes(60)) for way in range(16)]


def write_state(number):
    plane.set_multicast_group(1 + number % 3, [(port, port) for port in range(number % 4)] + [(500, 1)])
    plane.set_clone_session(number % 4, [(port, port) for port in range(number % 3)], truncate=20)
    plane.write_meter("ingress.by_packet", number % 8, MeterConfig(1000.0, 10, 2000.0, 20))
    plane.read_meter("ingress.by_byte", None)
    match = Match(bytes([number % 16]))
    if number % 2:
        plane.insert_entry("ingress.limit", match, Action("ingress.metered"), Attributes(meter=MeterConfig(1.0, 1, 1.0, 1)))
    else:
        plane.delete_entry("ingress.limit", match)
    if number % 100 == 0:
        plane.configure_digest("learned_t", DigestConfig(0, 1, 0))
        plane.write_register("ingress.odd_cells", 2, number << 60)
        plane.read_register("ingress.odd_cells", None)
        list(plane.read_entries("ingress.limit"))
    if number % 300 == 299:
        plane.load(paths)


while_packets_run(plane, frames, 1, write_state, 600)
plane.close()

plane = NativeDataplane()
plane.load(document())
rows = [random_row(rng, "ternary", number) for number in range(80)]


def write_masks(number):  # a list, an index, made anew
    row = rng.choice(rows)
    if number % 300 < 150:
        plane.insert_entry("t.ternary", row.match(True, True), Action("set_ternary", bytes(2)))
    else:
        plane.delete_entry("t.ternary", row.match(True, True))


keys = [{name: value for name, (value, _) in row.fields.items()} for row in rows]
while_packets_run(plane, [(0, packet_bytes(key) + bytes(10)) for key in keys], 1, write_masks, 900)
plane.close()
print("done", flush=True)
"""


def thread_sanitizer() -> str | None:
    try:
        command = [*find_compiler(), "-print-file-name=libtsan.so"]
        name = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (DataplaneError, OSError, subprocess.CalledProcessError):
        return None
    return name if Path(name).is_absolute() else None


def test_writes_do_not_race_with_packets() -> None:
    library = thread_sanitizer()
    if library is None or not fixed_addresses():
        pytest.skip(
            "no thread sanitizer: it takes the C compiler's libtsan, and a setarch that may keep addresses as they are"
        )
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "KULVERT_SANITIZE": "thread",
        "LD_PRELOAD": library,
        "TSAN_OPTIONS": "report_thread_leaks=0 exitcode=66",
    }
    command = [*fixed_addresses(), sys.executable, "-c", SCRIPT]
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=580, check=False
    )
    assert "WARNING: ThreadSanitizer" not in result.stderr, result.stderr[:6000]
    assert (result.returncode, result.stdout[-5:]) == (0, "done\n"), result.stderr[-3000:]
