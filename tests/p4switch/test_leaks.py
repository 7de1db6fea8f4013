"""Programs replaced, entries written and deleted, ports added and removed, over and over: the runtime keeps nothing of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.p4switch.test_native_compiler import fixed_addresses, sanitizer_libraries

ROOT = Path(__file__).parents[2]

SCRIPT = """
import ctypes, os, random, shutil, subprocess, sys, tempfile
from p4switch.dataplane import *
from p4switch.native import NativeDataplane
from tests.p4switch.compiled import compile_file, compiled
from tests.p4switch.conftest import PortedNativeDataplane
from tests.p4switch.differential.conftest import PROGRAMS
from tests.p4switch.harness import Harness, tables
from tests.p4switch.programs import acl_entry, exact_entry, route_entry
from tests.p4switch.test_action_profile import one_shot_entry

check = ctypes.CDLL(None).__lsan_do_recoverable_leak_check
rng = random.Random(2)
folder = tempfile.mkdtemp()
plane = NativeDataplane(cpu_port=500)
programs = [compiled("packets"), compiled("parallel"), compile_file(PROGRAMS / "paths.p4")[0]]
for round in range(6):
    for program in programs:
        plane.load(program)
        for _ in range(30):
            plane.inject(1, rng.randbytes(rng.randrange(14, 120)))
        for group in (1, 2):
            plane.set_multicast_group(group, [(1, 1), (2, 2)])
        plane.set_clone_session(3, [(1, 0)])
    if os.geteuid() == 0:
        plane.add_port(1, "lo")
        plane.remove_port(1)
    plane.add_port(2, f"unix:{folder}/port")
    plane.remove_port(2)
plane.close()
shutil.rmtree(folder)

switch = Harness(dataplane=PortedNativeDataplane())
entries = tables([*(exact_entry(i) for i in range(40)), *(route_entry(i << 64, 96) for i in range(40)),
    *(acl_entry(src=(i, 255), dport=(i, 90)) for i in range(20)), one_shot_entry(1, 2), one_shot_entry(2, 3)])
for round in range(20):
    switch.insert(*entries)
    switch.modify(*entries)
    switch.delete(*entries)
    if round % 5 == 4:
        switch.set_config()
switch.dataplane.close()
print("first", file=sys.stderr, flush=True)
check()
print("second", file=sys.stderr, flush=True)
for _ in range(10):  # what the check is for
    plane._lib.kv_switch_new(0, 511, 1, 1)
check()
print("end", file=sys.stderr, flush=True)
os._exit(0)
"""


def test_the_runtime_leaks_nothing() -> None:
    libraries = sanitizer_libraries()
    if libraries is None:
        pytest.skip("the C compiler has no address sanitizer")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "KULVERT_SANITIZE": "address,undefined",
        "LD_PRELOAD": libraries,
        "ASAN_OPTIONS": "detect_leaks=1:exitcode=0",  # the compilers that are started leak, too
        # Its look at thread-local storage crashes where a library that was unloaded had some, depending on where things lie in memory.
        "LSAN_OPTIONS": "use_tls=0",
        "PYTHONMALLOC": "malloc",
    }
    # Loopback of a namespace of its own, as a port.
    namespace = ["unshare", "-n"] if os.geteuid() == 0 and shutil.which("unshare") else []
    result = subprocess.run(
        [*namespace, *fixed_addresses(), sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    _, first, rest = result.stderr.partition("first\n")
    assert first, result.stderr[-3000:]
    report, second, deliberate = rest.partition("second\n")
    assert second, result.stderr[-3000:]
    assert " in kv_" not in report, report[:5000]
    assert " in kv_" in deliberate, f"the leak that was made is not seen: {deliberate[-3000:]}"
