"""`kulvert tables`: entries as the switch gives them back, in names."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from controlplane.addresses import Prefix
from controlplane.desired.entities import (
    ActionCall,
    ActionProfileGroup,
    ActionProfileMember,
    Entity,
    Exact,
    FieldMatch,
    Lpm,
    Range,
    TableEntry,
    Ternary,
)
from controlplane.p4rt.codec import WireEntity
from controlplane.p4rt.connection import Target
from kulvert.failures import UserError
from kulvert.inspection.controller import Controller
from kulvert.inspection.present import make_console, print_json, print_table
from kulvert.inspection.status import occupancy, print_occupancy
from kulvert.inspection.switch import Switch
from kulvert.inspection.trace import show_value
from p4base.messages import p4r


class ShownEntry(msgspec.Struct, frozen=True):
    """An entry, member or group. `match` and `params` are by name; `object` is "" if nobody knows."""

    kind: str
    match: dict[str, str]
    priority: int
    action: str
    params: dict[str, str]
    object: str
    text: str


def print_tables(target: Target, output: str) -> None:
    """Raises UserError."""
    with Switch(target) as switch:
        found = occupancy(switch)
    if output == "json":
        print_json(found)
    else:
        print_occupancy(found)


def print_entries(
    target: Target, controller: Controller | None, name: str, grep: str | None, limit: int, output: str
) -> None:
    """Raises UserError."""
    with Switch(target) as switch:
        wires = _read(switch, name)
        shown = show_entries(switch, controller, wires)
    if grep:
        shown = [entry for entry in shown if grep in _line(entry)]
    total = len(shown)
    shown = shown[:limit] if limit else shown
    if output == "json":
        print_json(shown)
        return
    console = make_console()
    rows = [
        (
            " ".join(f"{field}={value}" for field, value in entry.match.items()),
            entry.priority or "",
            entry.action,
            " ".join(f"{param}={value}" for param, value in entry.params.items()),
            entry.object,
        )
        for entry in shown
    ]
    print_table(
        console, f"{name}: {total:,} entries", ("key", "priority", "action", "parameters", "object"), rows, (1,)
    )


def _line(entry: ShownEntry) -> str:
    values = [*entry.match.items(), *entry.params.items()]
    return " ".join([entry.action, entry.object, entry.text, *(f"{name}={value}" for name, value in values)])


def _read(switch: Switch, name: str) -> list[WireEntity]:
    profile = switch.index.action_profiles.get(name)
    wanted = [p4r.Entity()]
    if profile is not None:
        wanted.append(p4r.Entity())
        wanted[0].action_profile_member.action_profile_id = profile.preamble.id
        wanted[1].action_profile_group.action_profile_id = profile.preamble.id
    elif switch.index.tables.get(name) is None:
        there = sorted([item.preamble.alias for item in switch.index.tables])
        there += sorted(item.preamble.alias for item in switch.index.action_profiles)
        raise UserError(f"the pipeline has no table or action selector {name!r}; it has: {', '.join(there)}")
    else:
        wanted[0].table_entry.table_id = switch.table_id(name)
    wires = (switch.codec.canonical(entity) for entity in switch.read(*wanted))
    return sorted((wire for wire in wires if wire is not None), key=lambda wire: wire.key)


def show_entries(switch: Switch, controller: Controller | None, wires: Sequence[WireEntity]) -> list[ShownEntry]:
    """Entities in names, and whose they are, if there is a controller to ask. Raises UserError."""
    explained = controller.explain([wire.body for wire in wires]) if controller is not None else None
    shown = []
    for number, wire in enumerate(wires):
        owner, text = ("", "") if explained is None else (explained[number].object, explained[number].text)
        shown.append(show_entity(switch.decode(wire), owner, text))
    return shown


def show_entity(entity: Entity, owner: str = "", text: str = "") -> ShownEntry:
    match entity:
        case ActionProfileMember(member=member, action=call):
            return ShownEntry("member", {"member": str(member)}, 0, call.action, _params(call), owner, text)
        case ActionProfileGroup(group=group, members=members):
            numbers = " ".join(
                f"{item.member}x{item.weight}" if item.weight != 1 else f"{item.member}" for item in members
            )
            return ShownEntry("group", {"group": str(group)}, 0, "", {"members": numbers}, owner, text)
        case TableEntry(match=match, action=action, priority=priority):
            key = dict(_field(item) for item in match)
            if isinstance(action, ActionCall):
                return ShownEntry("entry", key, priority, action.action, _params(action), owner, text)
            return ShownEntry("entry", key, priority, "", {"group": str(action.group)}, owner, text)


def _params(call: ActionCall) -> dict[str, str]:
    return {
        param.name: show_value(param.name, param.value) if isinstance(param.value, int) else str(param.value)
        for param in call.params
    }


def _field(match: FieldMatch) -> tuple[str, str]:
    match match:
        case Exact(name, value):
            return name, show_value(name, value) if isinstance(value, int) else str(value)
        case Lpm(name, value, length):
            return name, str(Prefix(value, length))
        case Ternary(name, value, mask):
            return name, f"{value}" if mask is None else f"{value:#x}&&&{mask:#x}"
        case Range(name, low, high):
            return name, f"{low}..{high}"
