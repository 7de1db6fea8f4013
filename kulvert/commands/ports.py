"""`kulvert ports`: the ports of a running switch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from kulvert.failures import UserError

if TYPE_CHECKING:
    from p4switch.thrift.client import ThriftClient


@click.group(
    "ports",
    short_help="List, add and remove the ports of a running switch.",
    epilog="""\b
Example:
  kulvert switch -i 1@veth1 --no-p4 --thrift-port 9090 &
  kulvert ports add 2 veth2
  kulvert ports add 3 unix:/tmp/port3
  kulvert ports list""",
)
@click.option(
    "--switch", "address", default="127.0.0.1:9090", metavar="HOST:PORT", help="its --thrift-port (127.0.0.1:9090)"
)
@click.pass_context
def command(context: click.Context, address: str) -> None:
    """List, add and remove the ports of a running switch, kulvert's or BMv2's, through its --thrift-port."""
    context.obj = address


@contextmanager
def _connected(address: str) -> Iterator[ThriftClient]:
    from p4switch.thrift.client import ThriftClient
    from p4switch.thrift.protocol import ApplicationError, ProtocolError, ThriftError

    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        raise click.BadParameter(f"{address!r} is not HOST:PORT", param_hint="--switch")
    try:
        client = ThriftClient(host.strip("[]"), int(port), 10)
    except OSError as error:
        raise UserError(f"no switch answers on {address}: {error.strerror or error}; it needs --thrift-port") from None
    try:
        yield client
    except ThriftError:
        raise UserError("the switch refused; its log says why") from None
    except (ApplicationError, ProtocolError, OSError) as error:
        raise UserError(str(error)) from None
    finally:
        client.close()


@command.command("list")
@click.pass_obj
def list_ports(address: str) -> None:
    """The ports with their interfaces and counters."""
    from rich.console import Console
    from rich.table import Table

    with _connected(address) as client:
        ports = client.call("standard", "bm_dev_mgr_show_ports")
    table = Table()
    names = sorted({name for port in ports for name in port.extra})
    for column in ("port", "interface", "state", *names):
        table.add_column(column)
    for port in ports:
        counters = [port.extra.get(name, "") for name in names]
        table.add_row(str(port.port_num), port.iface_name, "up" if port.is_up else "down", *counters)
    Console(highlight=False).print(table)


@command.command("add")
@click.argument("port", type=click.IntRange(0, 511))
@click.argument("interface")
@click.pass_obj
def add_port(address: str, port: int, interface: str) -> None:
    """Attach INTERFACE (a network interface, or unix:PATH, udp:HOST:PORT, tcp:HOST:PORT) as PORT."""
    with _connected(address) as client:
        client.call("standard", "bm_dev_mgr_add_port", interface, port, "")


@command.command("remove")
@click.argument("port", type=click.IntRange(0, 511))
@click.pass_obj
def remove_port(address: str, port: int) -> None:
    """Detach PORT."""
    with _connected(address) as client:
        client.call("standard", "bm_dev_mgr_remove_port", port)
