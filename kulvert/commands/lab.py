"""`kulvert lab`: one node with real Linux stacks as pods, in a sandbox that leaves nothing behind."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from kulvert.lab.run import RunOptions

F = TypeVar("F", bound=Callable[..., Any])


@click.group(
    "lab",
    short_help="A node with real Linux stacks as pods, on this machine.",
    epilog="""\b
Examples:
  kulvert lab demo                            the three-tier application, checked; about a minute
  kulvert lab up                              the same, to play with, until Ctrl-C
  kulvert lab exec visitor -- curl -s http://dashboard.search/
  kulvert lab exec node -- tcpdump -ni eth0
  kulvert lab exec switch -- kulvert status
  kulvert lab exec switch -- kulvert trace pod/visitors/visitor-84d7f6c9b-k6b8s svc/search/dashboard:80
  kulvert lab down""",
)
def command() -> None:
    """One node on this machine: a switch, a controller, and pods that are network namespaces with real Linux stacks.

    Everything is in namespaces of its own, which the kernel takes away with the last process; nothing of the machine's own
    network is touched. Needs root, or a kernel that grants user namespaces.
    """


def _common_options(function: F) -> F:
    options = [
        click.option("--target", "-t", default="native", show_default=True, metavar="NAME|FILE",
                     help="What the pipeline is built for; bmv2 runs simple_switch_grpc from the PATH."),
        click.option("--compiler", type=click.Choice(["auto", "kulvert", "p4c"]), default="auto", show_default=True,
                     help="auto: the first of the target's compilers that is installed."),
        click.option("--log-dir", type=click.Path(file_okay=False, path_type=Path),
                     help="Keep the switch's and the controller's logs here."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


@command.command("demo", short_help="Run the demonstration and check every expectation.")
@_common_options
@click.option("--timeout", default=300.0, show_default=True, type=click.FloatRange(min=0), metavar="SECONDS",
              help="Give up after this long; 0: never.")  # fmt: skip
def demo(target: str, compiler: str, log_dir: Path | None, timeout: float) -> None:
    """Bring up the three-tier search application, send real traffic, and report what happened.

    Pod to pod, pod to Service over TCP and UDP, IPv4 and IPv6, what a NetworkPolicy forbids, and open connections while the
    controller restarts and an endpoint leaves. Exit status 0 only if every expectation held.
    """
    from kulvert.lab.run import run_demo

    sys.exit(run_demo(_options(target, compiler, log_dir, seconds=timeout)))


@command.command("up", short_help="Bring a lab up and keep it until Ctrl-C.")
@_common_options
@click.option("--manifests", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="A folder of manifests of your own: a Node, and Pods on it.  [default: the demonstration's]")  # fmt: skip
def up(target: str, compiler: str, log_dir: Path | None, manifests: Path | None) -> None:
    """Bring a lab up from a folder of manifests and keep it until Ctrl-C or `kulvert lab down`.

    Each Pod on the Node becomes a network namespace with its status.podIPs. Its TCP containerPorts answer HTTP, its UDP
    ones echo the pod's name. Services are found by name, as service.namespace.
    """
    from kulvert.lab.run import run_up

    sys.exit(run_up(_options(target, compiler, log_dir, manifests=manifests)))


@command.command("exec", short_help="Run a command in a pod.", context_settings={"ignore_unknown_options": True})
@click.argument("pod")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
def execute(pod: str, argv: tuple[str, ...]) -> None:
    """Run a command in POD of the running lab. The start of a pod's name is enough.

    `node` is the node's own stack; `switch` is where the switch and the controller are, for `kulvert status` and its like.
    """
    from kulvert.lab.state import run_in_lab

    sys.exit(run_in_lab(pod, list(argv)))


@command.command("down", short_help="End the running lab.")
def down() -> None:
    """End the lab that `kulvert lab up` keeps running."""
    from kulvert.lab.state import stop_lab

    stop_lab()


def _options(
    target: str, compiler: str, log_dir: Path | None, *, seconds: float = 0.0, manifests: Path | None = None
) -> RunOptions:
    from kulvert.lab.run import RunOptions

    return RunOptions(target, compiler, manifests, seconds, log_dir)  # type: ignore[arg-type]  # checked by click
