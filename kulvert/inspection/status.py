"""`kulvert status`, from the controller or from the switch alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import msgspec

from controlplane.introspection import Status
from controlplane.p4rt.connection import Target
from kulvert.inspection.controller import Controller
from kulvert.inspection.present import make_console, print_json, print_table
from kulvert.inspection.switch import Switch, container


class Occupancy(msgspec.Struct, frozen=True):
    """How full a table or action profile is; a capacity of 0 is not known."""

    name: str
    entries: int
    capacity: int


def controller_status(controller: Controller, output: str) -> int:
    """Print it; 0 if everything that is wanted is in the switch. Raises UserError."""
    status = controller.status()
    good = status.is_ready and not status.troubles and not status.source_errors
    if output == "json":
        print_json(status)
        return 0 if good else 1
    console = make_console()
    rows = [
        ("node", status.node),
        ("switch", f"{status.switch}, device {status.device_id}"),
        ("primary", "yes" if status.is_primary else "no"),
        ("state from", status.source + ("" if status.is_source_synced else " (not complete yet)")),
        ("objects", ", ".join(f"{count} {kind}" for kind, count in sorted(status.objects.items())) or "none"),
        ("in step", "yes" if status.is_ready else f"no: {status.reason}"),
        ("entities", f"{status.installed} installed, {status.wanted} wanted, {status.pending} changes pending"),
    ]
    if status.last_sync is not None:
        last = status.last_sync
        ago = max(0.0, time.time() - last.at)
        what = f"{last.inserted} inserted, {last.modified} modified, {last.deleted} deleted"
        rows.append(("last sync", f"{last.kind}, {ago:.0f} s ago, in {last.seconds * 1000:.1f} ms: {what}"))
    rows.append(("up for", f"{max(0.0, time.time() - status.started):.0f} s"))
    print_table(console, "Controller", ("what", "value"), rows)
    print_occupancy([Occupancy(table.name, table.entries, table.capacity) for table in status.tables])
    wrong = [(trouble.object, trouble.reason) for trouble in status.troubles]
    wrong += [(_source_name(status), error) for error in status.source_errors]
    if wrong:
        print_table(console, "Not programmed, or not wholly", ("object", "why"), wrong)
    else:
        console.print(
            "Everything that is known of is programmed." if good else "Nothing is known to be wrong with an object."
        )
    return 0 if good else 1


def _source_name(status: Status) -> str:
    return f"read from {status.source}"


def switch_status(target: Target, output: str) -> int:
    """Print what the switch alone says. Raises UserError."""
    with Switch(target) as switch:
        tables = occupancy(switch)
        cookie = switch.config.cookie.cookie
    if output == "json":
        print_json({"switch": target.address, "device_id": target.device_id, "cookie": cookie, "tables": tables})
        return 0
    console = make_console()
    console.print(
        f"switch {target.address}, device {target.device_id}, pipeline {cookie:#x}; no controller to ask", markup=False
    )
    print_occupancy([table for table in tables if table.entries])
    return 0


def occupancy(switch: Switch) -> list[Occupancy]:
    """How full each table and action profile of a switch is."""
    counts = Counter(container(switch.decode(wire)) for wire in switch.read_all() if not wire.key.startswith(b"G"))
    sizes = {table.preamble.alias: table.size for table in switch.index.tables}
    sizes |= {profile.preamble.alias: profile.size for profile in switch.index.action_profiles}
    return [Occupancy(name, counts.get(name, 0), size) for name, size in sorted(sizes.items())]


def print_occupancy(tables: Sequence[Occupancy]) -> None:
    rows = [
        (table.name, f"{table.entries:,}", f"{table.capacity:,}" if table.capacity else "?", _share(table))
        for table in tables
    ]
    print_table(make_console(), "Tables", ("table", "entries", "capacity", "full"), rows, right=(1, 2, 3))


def _share(table: Occupancy) -> str:
    return f"{100 * table.entries / table.capacity:.1f} %" if table.capacity else ""
