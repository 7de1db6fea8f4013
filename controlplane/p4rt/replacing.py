"""For a switch that does not take MODIFY: what is to change is deleted and inserted, and with it, in between, what refers to it.

A group cannot go while an entry refers to it, nor a member while a group does. So the deletion of one takes its referrers along,
and they come back with it. Between the two the traffic that they serve meets a miss: that is what such a switch costs, and it is kept
short: the deletions of all that changes go first, in batches, then everything is inserted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from controlplane.p4rt.codec import WireEntity, group_key, member_key
from controlplane.p4rt.sequence import Update, UpdateType
from p4base.lookup import P4InfoIndex


class Replacing:
    """Who refers to what in the switch, and how to do without MODIFY. Not used for a switch that has it."""

    def __init__(self, index: P4InfoIndex) -> None:
        self._index = index
        self._wires: dict[bytes, Update] = {}
        self._referrers: dict[bytes, set[bytes]] = {}

    def start(self, installed: Iterable[WireEntity]) -> None:
        """The switch holds this."""
        self._wires.clear()
        self._referrers.clear()
        for wire in installed:
            self.note_installed(Update(UpdateType.INSERT, wire, None))

    def note_installed(self, update: Update) -> None:
        self.note_deleted(update.wire)
        self._wires[update.wire.key] = Update(UpdateType.INSERT, update.wire, update.entity)
        for target in self._references(update.wire):
            self._referrers.setdefault(target, set()).add(update.wire.key)

    def note_deleted(self, wire: WireEntity) -> None:
        before = self._wires.pop(wire.key, None)
        for target in self._references(before.wire) if before is not None else ():
            self._referrers.get(target, set()).discard(wire.key)

    def _references(self, wire: WireEntity) -> Iterator[bytes]:
        message = wire.message
        match message.WhichOneof("entity"):
            case "action_profile_group":
                group = message.action_profile_group
                for member in group.members:
                    yield member_key(group.action_profile_id, member.member_id)
            case "table_entry":
                action = message.table_entry.action
                profile = self._index.tables[message.table_entry.table_id].implementation_id
                if action.WhichOneof("type") == "action_profile_group_id":
                    yield group_key(profile, action.action_profile_group_id)
                elif action.WhichOneof("type") == "action_profile_member_id":
                    yield member_key(profile, action.action_profile_member_id)

    def plan(self, updates: list[Update]) -> tuple[list[Update], list[Update]]:
        """What to delete first, and what to write then."""
        changed = {update.wire.key: update for update in updates if update.type is UpdateType.MODIFY}
        if not changed:
            return [], updates
        planned = {update.wire.key: update for update in updates}
        gone: dict[bytes, Update] = {}
        waiting = list(changed)
        while waiting:
            key = waiting.pop()
            if key in gone or key not in self._wires:
                continue
            gone[key] = self._wires[key]
            waiting += self._referrers.get(key, ())
        removals = [Update(UpdateType.DELETE, item.wire, item.entity) for item in gone.values()]
        later = [
            Update(UpdateType.INSERT, update.wire, update.entity) if update.type is UpdateType.MODIFY else update
            for update in updates
            if not (update.type is UpdateType.DELETE and update.wire.key in gone)
        ]
        later += [item for key, item in gone.items() if key not in planned]
        return removals, later
