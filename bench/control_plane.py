"""The controller at cluster scale: against a made-up API server and the native switch, each a process of its own.

python -m bench.control_plane [--case NAME] [--steady-seconds S]
"""

from __future__ import annotations

import argparse
import contextlib
import re
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import yaml
from rich.console import Console

from bench.control_worker import Outcome
from kulvert.build import build
from kulvert.failures import UserError, run_guarded
from kulvert.targets import find_target

STEADY_SECONDS = 30.0
"""How long at 20 changes a second; the ten minutes that were asked for are `--steady-seconds 600`. All the rest takes five minutes or so."""

_WORKER_SECONDS = 1800


@dataclass(frozen=True, slots=True)
class Case:
    """A cluster and what is done to it. `larger`: table sizes that it needs beyond the native target's."""

    name: str
    services: int = 0
    endpoints: int = 0
    policies: int = 0
    pods: int = 0
    endpoint_changes: int = 0
    service_changes: int = 0
    pod_changes: int = 0
    steady: bool = False
    restart: bool = False
    larger: tuple[tuple[str, int], ...] = ()


SMALL, LARGE, POLICIES = "100 Services x 25", "10,000 Services x 25", "1,000 NetworkPolicies, 10,000 pods"

CASES = (
    Case(SMALL, services=100, endpoints=25, endpoint_changes=1000, service_changes=200, restart=True),
    Case(LARGE, services=10_000, endpoints=25, endpoint_changes=1000, service_changes=200, steady=True, restart=True),
    Case(POLICIES, policies=1000, pods=10_000, pod_changes=300, restart=True),
    Case("5,000 Services, 250,000 endpoints", services=5_000, endpoints=50, endpoint_changes=200, restart=True),
    Case("44,000 Services x 1", services=44_000, endpoints=1, endpoint_changes=200, service_changes=50, restart=True,
         larger=(("service_frontend_table", 65536), ("service_address_table", 65536), ("service_endpoint_table", 65536))),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measured:
    """What a case gave: the first start, a restart with nothing changed, and one after some changes that nobody saw."""

    case: Case
    outcome: Outcome
    restarted: Outcome | None
    changed: Outcome | None = None


MISSED = 100
"""Services of which an endpoint changes while no controller is there."""


@contextlib.contextmanager
def _process(*argv: str) -> Iterator[str]:
    """A helper process; its first line of output."""
    with subprocess.Popen([sys.executable, "-m", *argv], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise UserError(f"{argv[0]} ended at once")
            yield line.strip()
        finally:
            process.terminate()


def measure(case: Case, steady_seconds: float) -> Measured:
    """Run one case."""
    with tempfile.TemporaryDirectory(prefix="kulvert-bench-") as scratch:
        folder = Path(scratch)
        text = find_target("native").read_text()
        for name, size in case.larger:
            text = re.sub(rf"^{name} = \d+", f"{name} = {size}", text, flags=re.MULTILINE)
        target = folder / "bench.toml"
        target.write_text(text)
        built = build(target, folder / "pipeline", "kulvert")
        sizes = [f"--{name}={getattr(case, name)}" for name in ("services", "endpoints", "policies", "pods")]
        with (
            _process("bench.api_server", *sizes) as api_port,
            _process(
                "kulvert", "switch", "--no-p4", "--", "--grpc-server-addr", "127.0.0.1:0", "--cpu-port", "510"
            ) as ready,
        ):
            found = re.search(r" on (\S+:\d+),", ready)
            assert found, ready
            api = f"http://127.0.0.1:{api_port}"
            kubeconfig = folder / "kubeconfig"
            kubeconfig.write_text(yaml.safe_dump(_kubeconfig(api)))
            argv = [
                "--kubeconfig",
                str(kubeconfig),
                "--p4info",
                str(built.p4info),
                "--device-config",
                str(built.bmv2_json),
            ]
            argv += ["--switch", found.group(1), "--api", api, f"--services={case.services}", f"--pods={case.pods}"]
            changes = [f"--endpoint-changes={case.endpoint_changes}", f"--service-changes={case.service_changes}"]
            changes += [f"--pod-changes={case.pod_changes}"]
            changes += [f"--steady-seconds={steady_seconds if case.steady else 0}"]
            outcome = _work([*argv, *changes])
            restarted = _work(argv) if case.restart else None
            changed = None
            if case.restart and case.services:
                for number in range(MISSED):
                    _change(api, number % case.services)
                changed = _work(argv)
    return Measured(case, outcome, restarted, changed)


def _change(api: str, number: int) -> None:
    """Have one endpoint of a Service be another one."""
    body = msgspec.json.encode({"what": "endpoint", "number": number, "generation": 1_000_000 + number})
    request = urllib.request.Request(f"{api}/bench/change", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        response.read()


def _work(argv: Sequence[str]) -> Outcome:
    run = subprocess.run(
        [sys.executable, "-m", "bench.control_worker", *argv], stdout=subprocess.PIPE, text=True, timeout=_WORKER_SECONDS, check=False
    )  # fmt: skip
    if run.returncode:
        raise UserError("the controller failed")
    return msgspec.json.decode(run.stdout, type=Outcome)


def _kubeconfig(api: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bench", "cluster": {"server": api}}],
        "users": [{"name": "bench", "user": {}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        "current-context": "bench",
    }


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def render(found: Sequence[Measured]) -> str:
    """The tables: what was asked for, every case, and what kube-proxy is known to take."""
    lines = [
        "## The controller",
        "",
        "From a live API server (made up, a process of its own) to the native switch's acknowledgement. A change's time is from the "
        "watch event being sent to the last Write of it being answered.",
        "",
        *_render_bars(found),
        "| cluster | start to programmed, s | of it CPU, s | memory, MB | entities | one endpoint: p50 / p99, ms | updates "
        "| one Service more: p50 / p99, ms | updates | one pod more: p50 / p99, ms |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for item in found:
        outcome = item.outcome
        lines.append(
            f"| {item.case.name} | {outcome.start_seconds:.1f} | {outcome.start_cpu_seconds:.1f} "
            f"| {outcome.resident_bytes / 1e6:,.0f} | {outcome.entities:,} "
            f"| {_both(outcome.endpoint_seconds, 0.99)} | {_most(outcome.endpoint_updates)} "
            f"| {_both(outcome.service_seconds, 0.99)} | {_most(outcome.service_updates)} | {_both(outcome.pod_seconds, 0.99)} |"
        )
    lines += [
        "",
        f"| restart | with nothing changed: writes | in step after, s | of it CPU, s | after changes in {MISSED} Services: updates | s |",
        "|---|---|---|---|---|---|",
    ]
    for item in found:
        if item.restarted is not None:
            same, other = item.restarted, item.changed
            lines.append(
                f"| {item.case.name} | {same.start_updates} | {same.start_seconds:.1f} | {same.start_cpu_seconds:.1f} "
                + (f"| {other.start_updates} | {other.start_seconds:.1f} |" if other is not None else "| | |")
            )
    for item in found:
        if item.outcome.steady_seconds:
            lines += ["", _render_steady(item)]
    lines += [
        "",
        "| kube-proxy, nftables mode, as published | | here |",
        "|---|---|---|",
        *(f"| {what} | {theirs} | {_of(found, name, pick)} |" for what, theirs, name, pick in _KUBE_PROXY),
    ]
    return "\n".join(lines)


def _of(found: Sequence[Measured], name: str, pick: Callable[[Outcome], str]) -> str:
    return next((pick(item.outcome) for item in found if item.case.name.startswith(name)), "not measured")


_KUBE_PROXY: tuple[tuple[str, str, str, Callable[[Outcome], str]], ...] = (
    ("full sync of 44,125 Services", "16 min 44 s", "44,000", lambda outcome: f"{outcome.start_seconds:.1f} s, 44,000"),
    ("one Service more at 10,000", "141 ms", LARGE, lambda outcome: f"{_both(outcome.service_seconds, 0.99)} ms (p50 / p99)"),
    (
        "network programming latency, 100 nodes, p50 / p90 / p99",
        "1.5 / 2.3 / 6.8 s",
        LARGE,
        lambda outcome: f"{_both(outcome.endpoint_seconds, 0.99)} ms (one node, p50 / p99)",
    ),
)  # fmt: skip


def _render_steady(item: Measured) -> str:
    steady = item.outcome.steady_seconds
    quarter = max(1, len(steady) // 4)
    before, middle, after = item.outcome.steady_bytes
    return (
        f"20 changes a second ({item.case.name}), {len(steady):,} changes: p50 / p99 of the first quarter "
        f"{_both(steady[:quarter], 0.99)} ms, of the last {_both(steady[-quarter:], 0.99)} ms; resident memory "
        f"{before / 1e6:.0f} MB before, {middle / 1e6:.0f} MB half-way, {after / 1e6:.0f} MB after."
    )


def _render_bars(found: Sequence[Measured]) -> list[str]:
    """What was asked for beside what was measured, as far as it was."""
    cases = {item.case.name: item for item in found}
    rows: list[tuple[str, str, str, bool]] = []
    small, large, policies = (cases.get(name) for name in (SMALL, LARGE, POLICIES))
    if large is not None:
        outcome = large.outcome
        rows.append(("10,000 Services x 25, start to programmed", "60 s, 1.5 GB", f"{outcome.start_seconds:.1f} s, {outcome.resident_bytes / 1e9:.2f} GB",
                     outcome.start_seconds <= 60 and outcome.resident_bytes <= 1.5e9))  # fmt: skip
        for what, values, reference in (
            ("one endpoint changes", outcome.endpoint_seconds, small and small.outcome.endpoint_seconds),
            ("one Service more", outcome.service_seconds, small and small.outcome.service_seconds),
        ):
            p99 = percentile(values, 0.99)
            rows.append((f"there, {what}, p99 of {len(values)}", "20 ms", f"{p99 * 1000:.1f} ms", p99 <= 0.02))
            if reference:
                ratio = statistics.median(values) / statistics.median(reference)
                rows.append((f"{what}: median, beside 100 Services", "2 times", f"{ratio:.2f} times", ratio <= 2))
        if large.restarted is not None:
            writes = large.restarted.start_updates
            rows.append(("there, restart with nothing changed", "0 writes", f"{writes} writes", not writes))
    if policies is not None:
        p99 = percentile(policies.outcome.pod_seconds, 0.99)
        rows.append((f"{POLICIES}: one pod more, p99", "20 ms", f"{p99 * 1000:.1f} ms", p99 <= 0.02))
    if not rows:
        return []
    lines = ["| what | bar | measured | |", "|---|---|---|---|"]
    return [
        *lines,
        *(f"| {what} | {bar} | {value} | {'met' if met else '**missed**'} |" for what, bar, value, met in rows),
        "",
    ]


def _both(values: Sequence[float], share: float) -> str:
    if not values:
        return ""
    return f"{statistics.median(values) * 1000:.1f} / {percentile(values, share) * 1000:.1f}"


def _most(values: Sequence[int]) -> str:
    return f"{statistics.mode(values)}" if values else ""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.control_plane")
    parser.add_argument("--case", action="append", help="part of a case's name; repeatable")
    parser.add_argument("--steady-seconds", type=float, default=STEADY_SECONDS, help="how long at 20 changes a second")
    arguments = parser.parse_args()
    console = Console(highlight=False)
    found = []
    for case in CASES:
        if arguments.case is None or any(part in case.name for part in arguments.case):
            console.print(case.name, markup=False)
            found.append(measure(case, arguments.steady_seconds))
            console.print(render(found[-1:]), markup=False, soft_wrap=True)
    console.print(render(found), markup=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_guarded(main, name="bench"))
