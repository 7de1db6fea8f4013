"""Options that several commands share: which switch, which controller, how to print."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from controlplane.p4rt.connection import Target

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(dir_okay=False, path_type=Path)


def switch_options(function: F) -> F:
    """--switch, --device-id and TLS, as keyword arguments of `make_target`."""
    options = [
        click.option("--switch", "switch_address", default="127.0.0.1:9559", show_default=True, metavar="HOST:PORT",
                     help="The P4Runtime server."),
        click.option("--device-id", default=0, show_default=True, type=click.IntRange(min=0),
                     help="P4Runtime's device id."),
        click.option("--tls-ca", type=FILE, help="PEM: the authority that signed the switch's certificate."),
        click.option("--tls-cert", type=FILE, help="PEM: a certificate of one's own, for mutual TLS."),
        click.option("--tls-key", type=FILE, help="PEM: its private key."),
        click.option("--tls-server-name", metavar="NAME", help="The name in the switch's certificate."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def controller_option(function: F) -> F:
    """--control-socket."""
    return click.option(
        "--control-socket",
        type=FILE,
        help="The running controller's.  [default: $KULVERT_CONTROL_SOCKET, or /run/kulvert/controller.sock if it is there]",
    )(function)


def output_option(function: F) -> F:
    """--output, as `output`."""
    return click.option(
        "--output",
        "-o",
        default="table",
        show_default=True,
        type=click.Choice(["table", "json"]),
        help="How to print it.",
    )(function)


def make_target(
    switch_address: str,
    device_id: int,
    tls_ca: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_server_name: str | None,
) -> Target:
    """Which switch the options mean. Raises UserError."""
    from controlplane.options import OptionsError, host_port
    from controlplane.p4rt.connection import Target, Tls
    from kulvert.failures import UserError

    try:
        host_port(switch_address)
    except OptionsError as error:
        raise UserError(str(error)) from None
    if tls_ca is None and (tls_cert is not None or tls_key is not None):
        raise UserError("mutual TLS needs the switch's authority as well: --tls-ca")
    tls = None if tls_ca is None else Tls(tls_ca, tls_cert, tls_key, tls_server_name)
    return Target(switch_address, device_id, tls=tls)
