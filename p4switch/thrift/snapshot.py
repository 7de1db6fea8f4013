"""The switch's state as JSON, to be written to a file and restored at the next start (`--restore-state`)."""

from __future__ import annotations

from typing import Any

from p4switch.dataplane import (
    Action,
    Counter,
    DataplaneError,
    GroupMember,
    GroupRef,
    Match,
    MemberRef,
    Status,
    TableAction,
)
from p4switch.thrift.state import SwitchState

FORMAT = 1


def _action(action: TableAction) -> dict[str, Any]:
    match action:
        case Action(name, args):
            return {"action": name, "args": args.hex()}
        case MemberRef(number):
            return {"member": number}
        case GroupRef(number):
            return {"group": number}


def _action_of(raw: dict[str, Any]) -> TableAction:
    if "member" in raw:
        return MemberRef(raw["member"])
    if "group" in raw:
        return GroupRef(raw["group"])
    return Action(raw["action"], bytes.fromhex(raw["args"]))


def snapshot(state: SwitchState) -> dict[str, Any]:
    """Everything that was written into the running program; the program itself by its digest."""
    objects, plane = state.program.objects, state.dataplane
    tables = {}
    for info in objects.tables.values():
        default = plane.default_action(info.name)
        entries = [] if info.immutable else list(plane.read_entries(info.name))
        tables[info.name] = {
            "default": None if default is None else _action(default),
            "entries": [
                {
                    "value": entry.match.value.hex(),
                    "mask": entry.match.mask.hex(),
                    "priority": entry.match.priority,
                    **_action(entry.action),
                    **({"counter": [entry.counter.packets, entry.counter.bytes]} if entry.counter else {}),
                }
                for entry in entries
            ],
        }
    return {
        "format": FORMAT,
        "config_md5": state.config_md5().hex(),
        "profiles": {
            name: {
                "members": [{"id": number, **_action(action)} for number, action in plane.read_members(name)],
                "groups": [
                    {"id": number, "members": [[m.member_id, m.weight, m.watch_port] for m in members]}
                    for number, members in plane.read_groups(name)
                ]
                if info.selector
                else [],
            }
            for name, info in objects.profiles.items()
        },
        "tables": tables,
        "registers": {name: [hex(value) for value in plane.read_register(name, None)] for name in objects.registers},
        "counters": {
            name: [[value.packets, value.bytes] for value in plane.read_counter(name, None)]
            for name in objects.counters
        },
        "value_sets": {
            name: [member.hex() for member in members] for name, members in state.program.value_sets.items()
        },
    }


def restore(state: SwitchState, saved: dict[str, Any]) -> None:
    """Write a snapshot into a switch that has just loaded the same program.

    Raises:
        DataplaneError: it is of another program or format, or not a snapshot.
    """
    if saved.get("format") != FORMAT or saved.get("config_md5") != state.config_md5().hex():
        raise DataplaneError(Status.INVALID_ARGUMENT, "the saved state is of another program or another version")
    try:
        _restore(state, saved)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataplaneError(Status.INVALID_ARGUMENT, f"the saved state is not one: {error}") from None


def _restore(state: SwitchState, saved: dict[str, Any]) -> None:
    plane = state.dataplane
    for name, profile in saved["profiles"].items():
        for member in profile["members"]:
            plane.insert_member(name, member["id"], Action(member["action"], bytes.fromhex(member["args"])))
        for group in profile["groups"]:
            plane.insert_group(name, group["id"], [GroupMember(*member) for member in group["members"]])
    for name, table in saved["tables"].items():
        if table["default"] is not None and not _is_default(state, name, _action_of(table["default"])):
            plane.set_default_action(name, _action_of(table["default"]))
        for raw in table["entries"]:
            match = Match(bytes.fromhex(raw["value"]), bytes.fromhex(raw["mask"]), raw["priority"])
            plane.insert_entry(name, match, _action_of(raw))
            if "counter" in raw:
                plane.write_direct_counter(name, match, Counter(*raw["counter"]))
    for name, values in saved["registers"].items():
        for index, value in enumerate(values):
            if value != "0x0":
                plane.write_register(name, index, int(value, 16))
    for name, values in saved["counters"].items():
        for index, value in enumerate(values):
            if any(value):
                plane.write_counter(name, index, Counter(*value))


def _is_default(state: SwitchState, table: str, action: TableAction) -> bool:
    return state.dataplane.default_action(table) == action
