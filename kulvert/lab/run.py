"""What `kulvert lab` does: build the pipeline, make the sandbox, bring the lab up in it, and show what happens."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.status import Status

from kulvert.build import BuildError, BuildResult, CompilerChoice, build
from kulvert.failures import EXIT_USER_ERROR, UserError, report
from kulvert.lab.demo import MANIFESTS, Demo
from kulvert.lab.lab import LAB_DIR, Lab, LabOptions
from kulvert.lab.pods import AgentError
from kulvert.lab.sandbox import run_in_sandbox
from kulvert.lab.state import forget_lab, remember_lab
from kulvert.resources import ResourceError
from kulvert.targets import Target, TargetError, load_target

BMV2 = "simple_switch_grpc"

_LOG_WIDTH = 132


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line asks for.

    Attributes:
        target: a target's name or file.
        compiler: `auto`, `kulvert` or `p4c`.
        manifests: a folder of manifests of the user's own; None: the demonstration's.
        seconds: when to give up.
        log_dir: where to keep the logs; None: nowhere.
    """

    target: str
    compiler: CompilerChoice
    manifests: Path | None
    seconds: float
    log_dir: Path | None


def run_demo(options: RunOptions) -> int:
    """Run the demonstration; 0 only if every expectation held.

    Raises:
        UserError: something is missing on this machine, or did not come up.
    """
    target, switch = _check(options)

    def inside() -> int:
        console = _console()
        with _time_limit(options.seconds), _Shown(console) as shown, _lab(options, target, switch, shown) as lab:
            try:
                found = Demo(lab, shown.show).run()
            except AgentError as error:
                raise UserError(f"the lab broke down: {error}\n{_process_tails(lab)}") from error
            shown.stop()
            found.print(console)
            if not found.passed:
                console.print(_process_tails(lab), markup=False)
        return 0 if found.passed else EXIT_USER_ERROR

    return run_in_sandbox(inside, name="kulvert lab demo")


def run_up(options: RunOptions) -> int:
    """Bring a lab up and keep it until Ctrl-C, SIGTERM or `kulvert lab down`."""
    target, switch = _check(options)

    def inside() -> int:
        console = _console()
        with _Shown(console) as shown, _lab(options, target, switch, shown) as lab:
            shown.stop()
            _print_lab(lab, console)
            while True:
                lab.switch.check_alive()
                lab.controller.check_alive()
                signal.sigtimedwait([], 1.0)

    try:
        return run_in_sandbox(inside, name="kulvert lab up", on_start=remember_lab)
    finally:
        forget_lab()


def _check(options: RunOptions) -> tuple[Target, str]:
    """The target, and the command of its switch (`native` for ours). Raises UserError."""
    try:
        target = load_target(options.target)
    except (TargetError, ResourceError) as error:
        raise UserError(str(error)) from error
    if target.toolchain.switch == "kulvert":
        return target, "native"
    command = shutil.which(BMV2)
    if command is None:
        raise UserError(f"target {target.name} runs on {BMV2}, which is not on the PATH")
    return target, command


def _console() -> Console:
    """The user's terminal; where it is none (a log), wide enough for the tables."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=_LOG_WIDTH)


class _Shown(AbstractContextManager["_Shown"]):
    """Progress: a spinner on a terminal, a line for each step elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = console.status("starting") if console.is_terminal else None

    def __enter__(self) -> _Shown:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def show(self, what: str) -> None:
        """Tell what is being done."""
        if self._status is not None:
            self._status.update(what)
        else:
            self._console.print(f"- {what}", markup=False)

    def done(self, what: str) -> None:
        """Tell a result that stays on the screen."""
        self._console.print(what, markup=False, soft_wrap=True)

    def stop(self) -> None:
        """End the spinner."""
        if self._status is not None:
            self._status.stop()
            self._status = None


def _lab(options: RunOptions, target: Target, switch: str, shown: _Shown) -> Lab:
    """Build the pipeline into the sandbox and bring the lab up."""
    shown.show(f"building the pipeline for {target.name}")
    LAB_DIR.mkdir(exist_ok=True)
    result = _build(target, options.compiler)
    shown.done(f"pipeline for {target.name} compiled by {result.compiler} in {result.seconds:.1f} s")
    lab_options = LabOptions(
        manifests=options.manifests or MANIFESTS,
        bmv2_json=result.bmv2_json,
        p4info=result.p4info,
        cpu_port=target.ports.cpu,
        switch=switch,
        log_dir=options.log_dir,
    )
    lab = Lab(lab_options, shown.show)
    try:
        lab.start()
    except BaseException:
        lab.__exit__(None, None, None)
        raise
    for warning in lab.inventory.warnings:
        shown.done(f"warning: {warning}")
    shown.done(f"{len(lab.inventory.pods)} pods, {len(lab.inventory.services)} Services, programmed")
    return lab


def _build(target: Target, compiler: CompilerChoice) -> BuildResult:
    try:
        return build(target, LAB_DIR / "pipeline", compiler)
    except BuildError as error:
        if error.diagnostics:
            report(error.diagnostics.rstrip())
        raise UserError(str(error)) from error


def _process_tails(lab: Lab) -> str:
    return f"{lab.switch.what} said at last:\n{lab.switch.tail()}\n{lab.controller.what}:\n{lab.controller.tail()}"


def _print_lab(lab: Lab, console: Console) -> None:
    from rich.table import Table

    table = Table(title="The lab's pods", title_justify="left")
    for heading in ("pod", "namespace", "addresses", "switch port"):
        table.add_column(heading)
    for pod in lab.inventory.pods:
        table.add_row(pod.name, pod.namespace, "\n".join(map(str, pod.addresses)), f"{pod.port}@{pod.interface}")
    console.print(table)
    example = lab.inventory.pods[-1].name
    console.print(f"in another terminal:  kulvert lab exec {example} -- ip addr", markup=False, soft_wrap=True)
    console.print(f"manifests to edit:    kulvert lab exec node -- ls {lab.manifests}", markup=False, soft_wrap=True)
    console.print("Ctrl-C, or `kulvert lab down`, takes it all away.", markup=False)


def _time_limit(seconds: float) -> AbstractContextManager[Any]:
    """Raise a UserError in the main thread after `seconds`; 0: never."""
    if not seconds:
        return nullcontext()
    return _TimeLimit(seconds)


class _TimeLimit(AbstractContextManager["_TimeLimit"]):
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._previous: Callable[[int, FrameType | None], Any] | int | None = None

    def __enter__(self) -> _TimeLimit:
        self._previous = signal.signal(signal.SIGALRM, self._expire)
        signal.setitimer(signal.ITIMER_REAL, self._seconds)
        return self

    def __exit__(self, *exception: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._previous)

    def _expire(self, _signum: int, _frame: FrameType | None) -> None:
        raise UserError(f"the lab did not end within {self._seconds:g} s (--timeout)")
