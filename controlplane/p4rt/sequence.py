"""The order of writes: what is referred to is there before what refers to it, and goes after it.

The references come from the P4Info alone:

- a table with an action profile or selector refers to it: members, then groups, then entries;
- an action parameter refers to a table if that table has a key field of its name and width (`policy_id` in an action
  means the entries with that `policy_id`), or if the P4Info says so with `@refers_to(table, field)` on the parameter.

Insertions and modifications go in that order, deletions after all of them and the other way round. So a
replaced thing is made, then switched to, then the old one is unmade. Every step is a batch of its own, because a
server may apply one batch in any order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import IntEnum

import msgspec

from controlplane.desired.entities import Entity
from controlplane.p4rt.codec import WireEntity
from p4base.lookup import P4InfoIndex
from p4base.messages import p4i, p4r

_REFERS_TO = re.compile(r"@refers_to\(\s*\"?([\w.]+)\"?\s*,\s*\"?([\w.]+)\"?\s*\)")


class UpdateType(IntEnum):
    """P4Runtime's Update.Type."""

    INSERT = p4r.Update.INSERT
    MODIFY = p4r.Update.MODIFY
    DELETE = p4r.Update.DELETE


class Update(msgspec.Struct, frozen=True, gc=False):
    """One change to the switch. `entity` is the desired one, or for a deletion the one read from the switch or wanted before."""

    type: UpdateType
    wire: WireEntity
    entity: Entity | None


class Order:
    """A rank for every table and action profile: whatever is referred to has the lower one."""

    def __init__(self, index: P4InfoIndex) -> None:
        references: dict[int, set[int]] = {}
        actions: dict[int, set[int]] = {}
        for action in index.actions:
            actions[action.preamble.id] = set(_referred_tables(action, index))
        for profile in index.action_profiles:
            references[profile.preamble.id] = {
                target
                for table_id in profile.table_ids
                if (table := index.tables.get(table_id)) is not None
                for ref in table.action_refs
                for target in actions.get(ref.id, ())
                if target != table_id
            }
        for table in index.tables:
            mine = {target for ref in table.action_refs for target in actions.get(ref.id, ())}
            if table.implementation_id:
                mine = {table.implementation_id}  # its actions are the members', which come before it
            references[table.preamble.id] = mine - {table.preamble.id}
        self._ranks: dict[int, int] = {}
        for container in references:
            _rank(container, references, self._ranks, ())

    def rank(self, container: int) -> int:
        return self._ranks.get(container, 0)


def _referred_tables(action: p4i.Action, index: P4InfoIndex) -> Iterator[int]:
    for param in action.params:
        stated = [match for text in param.annotations for match in _REFERS_TO.finditer(text)]
        for match in stated:
            table = index.tables.get(match.group(1))
            if table is not None:
                yield table.preamble.id
        if not stated:
            for table in index.tables:
                for field in table.match_fields:
                    if (field.name, field.bitwidth) == (param.name, param.bitwidth):
                        yield table.preamble.id


def _rank(container: int, references: dict[int, set[int]], ranks: dict[int, int], path: tuple[int, ...]) -> int:
    if container not in ranks:
        if container in path:  # two tables that refer to each other: any order between them will do
            return 0
        deeper = [_rank(target, references, ranks, (*path, container)) for target in references.get(container, ())]
        ranks[container] = 1 + max(deeper, default=0)
    return ranks[container]


def _step(update: Update, order: Order) -> tuple[int, int]:
    """Members before groups within one profile."""
    kind = update.wire.key[:1]
    return order.rank(update.wire.container), {b"M": 0, b"G": 1}.get(kind, 2)


def sequence(updates: Sequence[Update], order: Order, batch_size: int) -> Iterator[list[Update]]:
    """The updates in batches of at most `batch_size`, to be written one after the other. No key is in it twice."""
    upserts: dict[tuple[int, int], list[Update]] = {}
    deletions: dict[tuple[int, int], list[Update]] = {}
    for update in updates:
        (deletions if update.type is UpdateType.DELETE else upserts).setdefault(_step(update, order), []).append(update)
    steps = [upserts[step] for step in sorted(upserts)]
    steps += [deletions[step] for step in sorted(deletions, reverse=True)]
    for step_updates in steps:
        for start in range(0, len(step_updates), batch_size):
            yield step_updates[start : start + batch_size]
