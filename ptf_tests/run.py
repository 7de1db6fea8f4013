"""Run the packet tests: `python -m ptf_tests.run --target native|bmv2`.

Makes a network namespace of its own with veth pairs (or with `--ports socket` a UNIX socket for each port, which needs no
rights at all), builds the pipeline, starts the switch, runs ptf with the tests, shows the results as a table and writes
them as JUnit XML. Everything it made is gone afterwards, also on Ctrl-C.

Exit status: 0 all passed, 1 a test failed or something else went wrong, 3 the target's switch or compiler is not
installed, so that nothing was tested.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from rich.console import Console

from kulvert.build import BuildError, BuildResult, CompilerChoice, build
from kulvert.failures import UserError
from kulvert.lab.sandbox import run_in_sandbox
from kulvert.resources import ResourceError
from kulvert.targets import Target, TargetError, load_target
from ptf_tests import switches
from ptf_tests.memory import patient_target
from ptf_tests.network import NetworkError, own_namespace, switch_interface, test_interface
from ptf_tests.report import print_results, read_results, write_junit
from ptf_tests.sockets import switch_socket
from tests.ports import free_port

EXIT_FAILED = 1
EXIT_NOT_TESTED = 3

_CHECKOUT = Path(__file__).resolve().parent.parent
_STAGES = Path(__file__).resolve().parent / "stages"
_BULK = Path(__file__).resolve().parent / "bulk"
_PLATFORMS = Path(__file__).resolve().parent / "platforms"
_PORTS = range(7)
_TEST_SECONDS = 300


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tests as the arguments say; the exit status."""
    options = _parse(argv)
    if os.geteuid() == 0 or options.ports == "socket":
        return _run_told(options)
    try:  # without root, in a user namespace where the user is root
        return run_in_sandbox(lambda: _run_told(options), name="the packet tests")
    except UserError as error:
        Console(highlight=False).print(f"error: {error}", markup=False)
        return EXIT_FAILED


def _run_told(options: argparse.Namespace) -> int:
    """Run the tests; what goes wrong is told in a line or two."""
    console = Console(highlight=False)
    signal.signal(signal.SIGINT, _interrupt)  # also when started in the background, where Ctrl-C is ignored
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(options, console)
    except KeyboardInterrupt:
        console.print("interrupted; everything is cleaned up")
        return 128 + signal.SIGINT
    except BuildError as error:
        console.print(error.diagnostics, markup=False)
        console.print(f"error: {error}", markup=False)
    except (TargetError, ResourceError, NetworkError, switches.SwitchError) as error:
        console.print(f"error: {error}", markup=False)
    return EXIT_FAILED


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ptf_tests.run", description=__doc__.split("\n")[0])
    parser.add_argument("--target", default="native", help="whose switch and compiler to test: native or bmv2")
    parser.add_argument(
        "--profile",
        default="small",
        help="the target whose sizes and timeouts to use (default: small, whose tables fill and timeouts pass in seconds)",
    )
    parser.add_argument("--compiler", default="auto", choices=("auto", "kulvert", "p4c"), help="default: the target's")
    parser.add_argument("--ports", default="veth", choices=("veth", "socket"), help="what the tests send through")
    parser.add_argument("--junit", type=Path, help="default: build/ptf/<target>-<compiler>.xml")
    parser.add_argument("--seconds", type=float, default=1500, help="give up after this long (default 1500)")
    parser.add_argument(
        "--flows",
        type=int,
        default=10_000,
        help="random flows to compare with the model of the contract, on the native switch in memory (default 10,000)",
    )
    parser.add_argument("--failfast", action="store_true", help="stop at the first failure")
    parser.add_argument(
        "tests", nargs="*", help="stages or tests to run, as `policy` or `nat.UdpWithoutChecksumStaysSo`"
    )
    return parser.parse_args(argv)


def _run(options: argparse.Namespace, console: Console) -> int:
    unknown = [name for name in options.tests if not _exists(name)]
    if unknown:
        stages = ", ".join(sorted(_stages()))
        console.print(f"no such stage or test: {', '.join(unknown)}; stages are {stages}", style="red", soft_wrap=True)
        return EXIT_FAILED
    target = load_target(options.target)
    profile = load_target(options.profile)
    if not switches.is_installed(target.toolchain.switch):
        console.print(f"not tested: {switches.BMV2} is not on the PATH")
        return EXIT_NOT_TESTED
    if options.ports == "socket" and target.toolchain.switch != "kulvert":
        console.print(f"not tested: {switches.BMV2} has no ports on sockets")
        return EXIT_NOT_TESTED
    compiler: CompilerChoice = options.compiler
    tested = replace(profile, toolchain=target.toolchain, capabilities=target.capabilities)
    with tempfile.TemporaryDirectory(prefix="kulvert-ptf-") as scratch:
        folder = Path(scratch)
        pipeline = build(tested, folder / "pipeline", compiler)
        patient = build(patient_target(tested), folder / "patient", compiler)
        console.print(f"pipeline: profile {profile.name}, compiled by {pipeline.compiler} in {pipeline.seconds:.1f} s")
        started = time.monotonic()
        with contextlib.ExitStack() as stack:
            if options.ports == "veth":
                stack.enter_context(own_namespace(len(_PORTS)))
                interfaces, address = {port: switch_interface(port) for port in _PORTS}, switches.ADDRESS
                thrift_port = None
            else:
                interfaces, address = {port: switch_socket(folder, port) for port in _PORTS}, f"127.0.0.1:{free_port()}"
                thrift_port = free_port()
            log = folder / "switch.log"
            switch = switches.running(target.toolchain.switch, interfaces, profile.ports.cpu, log, address, thrift_port)
            stack.enter_context(switch)
            on_wires, in_memory = _split(options.tests)
            ended_well = True
            if on_wires or not options.tests:
                ended_well = _run_ptf(
                    options, on_wires, tested, pipeline, patient, folder, address, thrift_port, console
                )
        if target.toolchain.switch == "kulvert" and (in_memory or not options.tests):
            ended_well = _run_bulk(options, in_memory, pipeline.compiler, folder, console) and ended_well
        results = read_results(folder / "results.jsonl")
        name = f"{target.name}-{pipeline.compiler}"
        title = (
            f"PTF: {target.toolchain.switch} switch, {pipeline.compiler} compiler, {time.monotonic() - started:.0f} s"
        )
        print_results(results, title, console)
        junit = options.junit or Path("build") / "ptf" / f"{name}.xml"
        write_junit(results, f"ptf.{name}", junit)
        bad = sum(result.is_bad for result in results)
        skipped = sum(result.status == "skipped" for result in results)
        console.print(
            f"{len(results)} tests: {len(results) - bad - skipped} passed, {bad} failed, {skipped} skipped; {junit}"
        )
        if bad:
            return EXIT_FAILED
        if not ended_well or not results:
            console.print((folder / "ptf.log").read_text(encoding="utf-8", errors="replace")[-4000:], markup=False)
            console.print((folder / "switch.log").read_text(encoding="utf-8", errors="replace")[-2000:], markup=False)
            return EXIT_FAILED
    return 0


def _stages() -> dict[str, Path]:
    """The files that hold tests, by stage."""
    files = [*_STAGES.glob("[!_]*.py"), *_BULK.glob("[!_]*.py")]
    return {path.stem: path for path in files if path.stem != "base"}


def _exists(test: str) -> bool:
    """Whether there is such a stage, or such a test in it."""
    stage, _, name = test.partition(".")
    path = _stages().get(stage)
    return path is not None and (not name or f"\nclass {name}(" in path.read_text(encoding="utf-8"))


def _split(tests: Sequence[str]) -> tuple[list[str], list[str]]:
    """The tests that go over wires, and those of `ptf_tests.bulk`."""
    in_memory = [name for name in tests if (_BULK / f"{name.partition('.')[0]}.py").exists()]
    return [name for name in tests if name not in in_memory], in_memory


def _run_bulk(options: argparse.Namespace, tests: Sequence[str], compiler: str, folder: Path, console: Console) -> bool:
    """Run the tests that need very many packets; whether they came to their end."""
    command = [sys.executable, "-m", "ptf_tests.bulk", "--compiler", compiler, "--flows", str(options.flows)]
    command += ["--results", str(folder / "results.jsonl"), *tests]
    environment = os.environ | {"PYTHONPATH": str(_CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"}
    with (folder / "bulk.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=_CHECKOUT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            ended_well = _watch(process, folder, options.seconds, console, "the tests of many packets") == 0
        finally:
            process.kill()
            process.wait()
    told = (folder / "bulk.log").read_text(encoding="utf-8", errors="replace")
    for line in told.splitlines():
        if line.startswith("measured: "):
            console.print(line, markup=False)
    if not ended_well:
        console.print(told[-4000:], markup=False)
    return ended_well


def _run_ptf(
    options: argparse.Namespace,
    tests: Sequence[str],
    profile: Target,
    pipeline: BuildResult,
    patient: BuildResult,
    folder: Path,
    address: str,
    thrift_port: int | None,
    console: Console,
) -> bool:
    """Run ptf on the tests; whether it came to its end without complaint.

    Args:
        pipeline, patient: with the profile's timeouts, and with such as no test sees the end of.
    """
    parameters = {
        "address": address,
        "device_id": str(switches.DEVICE_ID),
        "target_file": str(profile.path.resolve()),
        "watch_ports": str(int(profile.capabilities.watch_ports)),
        "p4info": str(pipeline.p4info.resolve()),
        "json": str(patient.bmv2_json.resolve()),
        "hurried_json": str(pipeline.bmv2_json.resolve()),
        "results": str(folder / "results.jsonl"),
    }
    command = [sys.executable, str(Path(sys.executable).parent / "ptf"), "--test-dir", str(_STAGES)]
    command += ["--pypath", str(_CHECKOUT), "--log-file", str(folder / "ptf-debug.log"), "--debug", "warning"]
    command += ["--test-case-timeout", str(_TEST_SECONDS)]
    command += ["--test-params", ";".join(f"{key}={value!r}" for key, value in parameters.items())]
    if options.ports == "veth":
        command += ["--platform", "kulvert_wires", "--platform-dir", str(_PLATFORMS)]
        for port in _PORTS:
            command += ["--interface", f"{port}@{test_interface(port)}"]
    else:
        command += ["--allow-user", "--platform", "kulvert_sockets", "--platform-dir", str(_PLATFORMS)]
        command += ["--platform-args", f"{folder}:{len(_PORTS)}:{thrift_port}"]
    if options.failfast:
        command.append("--failfast")
    command += tests
    environment = os.environ | {"PYTHONPATH": str(_CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"}
    with (folder / "ptf.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            return _watch(process, folder, options.seconds, console, "ptf") == 0
        finally:
            process.kill()
            process.wait()


def _watch(process: subprocess.Popen[bytes], folder: Path, seconds: float, console: Console, what: str) -> int | None:
    """Wait for the process, showing the progress on a terminal; its exit status, or None if it took too long."""
    deadline = time.monotonic() + seconds
    with console.status(f"starting {what}") as status:
        while time.monotonic() < deadline:
            try:
                return process.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                results = read_results(folder / "results.jsonl")
                bad = sum(result.is_bad for result in results)
                status.update(f"{len(results)} tests done, {bad} failed")
    console.print(f"{what} did not end within {seconds:g} s", style="red")
    return None


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
