"""Random writes of a program's tables, as its P4Info has them.

What is installed is kept track of, so that most writes succeed; some insert what is there or delete what is not, and are
refused by both switches alike.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from p4base.messages import p4i, p4r
from tests.p4switch.differential.values import Values, canonical

INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE
_MatchField = p4i.MatchField
PORTS = range(4)
MEMBERS = range(1, 25)


class Writer:
    """Makes updates for one program.

    Args:
        values: shared with those who make packets.
    """

    def __init__(self, p4info: p4i.P4Info, values: Values) -> None:
        self.p4info = p4info
        self.values = values
        self.rng: random.Random = values.rng
        self._actions = {action.preamble.id: action for action in p4info.actions}
        self._profiles = {profile.preamble.id: profile for profile in p4info.action_profiles}
        self._tables = [table for table in p4info.tables if not table.is_const_table]
        self._installed: dict[int, dict[bytes, p4r.TableEntry]] = {table.preamble.id: {} for table in self._tables}
        self._priorities: set[tuple[int, int]] = set()
        self._members: dict[int, dict[int, p4r.ActionProfileMember]] = {ident: {} for ident in self._profiles}
        self._groups: dict[int, dict[int, p4r.ActionProfileGroup]] = {ident: {} for ident in self._profiles}

    # -- tables

    def table_updates(self, count: int) -> list[p4r.Update]:
        """Inserts mostly, modifications and deletions of what is there, default entries, and some that are refused."""
        return [update for _ in range(count) if (update := self._table_update()) is not None]

    def _table_update(self) -> p4r.Update | None:
        table = self.rng.choice(self._tables)
        installed = self._installed[table.preamble.id]
        kind = self.rng.random()
        if kind < 0.06 and not table.const_default_action_id and not table.implementation_id:
            return self._default(table)
        if kind < 0.70 or not installed or not table.match_fields:
            if not table.match_fields or len(installed) >= table.size:
                return None
            entry = self._entry(table)
            if entry is None:
                return None
            refused = _key(entry) in installed
            if not refused:
                installed[_key(entry)] = entry
            return _update(INSERT, table_entry=entry)
        entry = p4r.TableEntry()
        entry.CopyFrom(self.rng.choice(list(installed.values())))
        if kind < 0.82:
            if self._set_action(table, entry):
                installed[_key(entry)] = entry
                return _update(MODIFY, table_entry=entry)
            return None
        if kind < 0.86:
            return _update(INSERT, table_entry=entry)  # it is there
        del installed[_key(entry)]
        return _update(DELETE, table_entry=entry)

    def missing(self) -> list[p4r.Update]:
        """Deletions and modifications of entries that are not there."""
        updates = []
        for table in self._tables:
            entry = self._entry(table) if table.match_fields else None
            if entry is not None and _key(entry) not in self._installed[table.preamble.id]:
                updates.append(_update(self.rng.choice((DELETE, MODIFY)), table_entry=entry))
        return updates

    def wanted(self, header: str) -> dict[str, int]:
        """Values of a header's fields that meet an entry or two of those installed, as far as they are whole fields."""
        found: dict[str, int] = {}
        for table in self.rng.choices(self._tables, k=2):
            installed = list(self._installed[table.preamble.id].values())
            if not installed:
                continue
            fields = {field.id: field for field in table.match_fields}
            for match in self.rng.choice(installed).match:
                field = fields[match.field_id]
                if field.name.startswith(f"{header}."):
                    found[field.name.removeprefix(f"{header}.")] = self._met(match, field.bitwidth)
        return found

    def _met(self, match: p4r.FieldMatch, width: int) -> int:
        if match.HasField("exact"):
            return int.from_bytes(match.exact.value, "big")
        if match.HasField("optional"):
            return int.from_bytes(match.optional.value, "big")
        if match.HasField("lpm"):
            free = (1 << width - match.lpm.prefix_len) - 1
            return int.from_bytes(match.lpm.value, "big") | self.rng.getrandbits(width) & free
        if match.HasField("ternary"):
            mask = int.from_bytes(match.ternary.mask, "big")
            return int.from_bytes(match.ternary.value, "big") | self.rng.getrandbits(width) & ~mask
        low, high = (int.from_bytes(bound, "big") for bound in (match.range.low, match.range.high))
        return self.rng.choice((low, high, self.rng.randint(low, high)))

    def _default(self, table: p4i.Table) -> p4r.Update | None:
        entry = p4r.TableEntry(table_id=table.preamble.id, is_default_action=True)
        if self.rng.random() < 0.7:
            choices = [ref.id for ref in table.action_refs if ref.scope != p4i.ActionRef.TABLE_ONLY]
            if not choices:
                return None
            entry.action.action.CopyFrom(self.action(self.rng.choice(choices)))
        return _update(MODIFY, table_entry=entry)

    def _entry(self, table: p4i.Table) -> p4r.TableEntry | None:
        entry = p4r.TableEntry(table_id=table.preamble.id)
        prioritised = False
        for field in table.match_fields:
            prioritised = prioritised or field.match_type not in (_MatchField.EXACT, _MatchField.LPM)
            self._match(field, entry)
        if prioritised:  # entries of one priority that overlap are nobody's to order
            priority = self.rng.randrange(1, 1 << 20)
            while (table.preamble.id, priority) in self._priorities:
                priority = self.rng.randrange(1, 1 << 20)
            self._priorities.add((table.preamble.id, priority))
            entry.priority = priority
        return entry if self._set_action(table, entry) else None

    def _match(self, field: p4i.MatchField, entry: p4r.TableEntry) -> None:
        width = field.bitwidth
        match = p4r.FieldMatch(field_id=field.id)
        value = self.values.value(width)
        full = (1 << width) - 1
        match field.match_type:
            case _MatchField.EXACT:
                match.exact.value = canonical(value)
            case _MatchField.LPM:
                length = self.rng.choice((0, width, self.rng.randrange(width + 1)))
                if length == 0:
                    return
                match.lpm.value = canonical(value & (full ^ (1 << width - length) - 1))
                match.lpm.prefix_len = length
            case _MatchField.TERNARY:
                mask = self.values.mask(width)
                if mask == 0:
                    return
                match.ternary.value, match.ternary.mask = canonical(value & mask), canonical(mask)
            case _MatchField.RANGE:
                low, high = self.values.range(width)
                if (low, high) == (0, full):
                    return
                match.range.low, match.range.high = canonical(low), canonical(high)
            case _MatchField.OPTIONAL:
                if self.rng.random() < 0.4:
                    return
                match.optional.value = canonical(value)
            case other:
                raise AssertionError(other)
        entry.match.append(match)

    def action(self, ident: int) -> p4r.Action:
        """A random call of an action."""
        action = p4r.Action(action_id=ident)
        for param in self._actions[ident].params:
            action.params.add(param_id=param.id, value=canonical(self.values.value(param.bitwidth)))
        return action

    def _set_action(self, table: p4i.Table, entry: p4r.TableEntry) -> bool:
        """Give an entry an action; false if there is none to give yet."""
        choices = self._entry_actions(table)
        entry.action.Clear()
        if not table.implementation_id:
            entry.action.action.CopyFrom(self.action(self.rng.choice(choices)))
            return True
        profile = self._profiles[table.implementation_id]
        if "one_shot" in profile.preamble.name:
            for _ in range(self.rng.randint(1, 4)):
                entry.action.action_profile_action_set.action_profile_actions.add(
                    action=self.action(self.rng.choice(choices)), weight=self.rng.choice((1, 1, 1, 2))
                )
            return True
        groups = [ident for ident, group in self._groups[table.implementation_id].items() if group.members]
        if groups and self.rng.random() < 0.7:
            entry.action.action_profile_group_id = self.rng.choice(groups)
            return True
        members = list(self._members[table.implementation_id])
        if members:
            entry.action.action_profile_member_id = self.rng.choice(members)
        return bool(members)

    @staticmethod
    def _entry_actions(table: p4i.Table) -> list[int]:
        return [ref.id for ref in table.action_refs if ref.scope != p4i.ActionRef.DEFAULT_ONLY]

    # -- action profiles

    def profile_updates(self, members: int, groups: int) -> list[p4r.Update]:
        """All members of every profile, changes of some of them, and groups.

        A hash chooses a member by its place. BMv2's places come of when the members, and what it adds for their weights, were
        made; ours of their ids and weights. Both are the same where members are made in the order of their ids, and
        no group weighs them. (One-shot sets are in their own order, weights and all.)
        """
        updates = []
        for ident, profile in self._profiles.items():
            if "one_shot" in profile.preamble.name:
                continue
            (table,) = (table for table in self.p4info.tables if table.preamble.id in profile.table_ids)
            numbers = MEMBERS if not self._members[ident] else self.rng.choices(MEMBERS, k=members)
            updates += [self._member(ident, table, number) for number in numbers]
            if profile.with_selector:
                updates += [self._group(ident) for _ in range(groups)]
        return updates

    def _member(self, profile: int, table: p4i.Table, number: int) -> p4r.Update:
        known = self._members[profile]
        member = p4r.ActionProfileMember(action_profile_id=profile, member_id=number)
        member.action.CopyFrom(self.action(self.rng.choice(self._entry_actions(table))))
        kind = MODIFY if member.member_id in known else INSERT
        known[member.member_id] = member
        return _update(kind, action_profile_member=member)

    def _group(self, profile: int) -> p4r.Update:
        known = self._groups[profile]
        group = p4r.ActionProfileGroup(action_profile_id=profile, group_id=self.rng.randint(1, 8), max_size=16)
        chosen = self.rng.sample(list(self._members[profile]), min(len(self._members[profile]), self.rng.randint(1, 4)))
        for member in chosen:
            group.members.add(member_id=member, weight=1)
        kind = MODIFY if group.group_id in known else INSERT
        known[group.group_id] = group
        return _update(kind, action_profile_group=group)


def _key(entry: p4r.TableEntry) -> bytes:
    key = p4r.TableEntry(table_id=entry.table_id, priority=entry.priority)
    key.match.extend(sorted(entry.match, key=lambda match: match.field_id))
    return key.SerializeToString(deterministic=True)


def _update(kind: p4r.Update.Type.ValueType, **entity: object) -> p4r.Update:
    return p4r.Update(type=kind, entity=p4r.Entity(**entity))  # type: ignore[arg-type]


def batches(rng: random.Random, updates: Sequence[p4r.Update]) -> list[list[p4r.Update]]:
    """The updates in requests of random sizes."""
    cut: list[list[p4r.Update]] = []
    at = 0
    while at < len(updates):
        size = rng.randint(1, 20)
        cut.append(list(updates[at : at + size]))
        at += size
    return cut
