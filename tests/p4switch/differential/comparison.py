"""Does the same to two switches and holds what they answer against each other."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from p4base.messages import p4i, p4r
from tests.p4switch.differential.client import until
from tests.p4switch.differential.sides import Frame, Side


class Comparison:
    """Two switches with the same program.

    Every check raises AssertionError with what is different.

    Args:
        ours, theirs: the switch under test, and the reference.
    """

    def __init__(self, ours: Side, theirs: Side, p4info: p4i.P4Info, bmv2_json: bytes) -> None:
        self.ours, self.theirs = ours, theirs
        self.p4info = p4info
        self._widths = {
            table.preamble.id: {field.id: field.bitwidth for field in table.match_fields} for table in p4info.tables
        }
        for side in (ours, theirs):
            side.configure(p4info, bmv2_json)

    def write(self, updates: Sequence[p4r.Update]) -> list[bool]:
        """The same updates are carried out, and the same refused."""
        mine, other = (side.client.write(updates) for side in (self.ours, self.theirs))
        for number, update in enumerate(updates):
            assert mine[number] == other[number], (
                f"ours says {self.ours.client.refusals.get(number, 'yes')!r}, "
                f"the reference {self.theirs.client.refusals.get(number, 'yes')!r} to\n{update}"
            )
        return mine

    def process(self, frames: Sequence[Frame], explain: Callable[[bytes], str] = bytes.hex) -> int:
        """The same packets come out of each; how many."""
        mine = self.ours.process(frames)
        other = self.theirs.process(frames)
        for number, (port, frame) in enumerate(frames):
            # Copies of a packet may overtake one another on their way through BMv2's queues.
            assert Counter(mine[number]) == Counter(other[number]), (
                f"packet {number} on port {port}:\n{explain(frame)}\nours:\n{_listing(mine[number], explain)}\n"
                f"the reference:\n{_listing(other[number], explain)}"
            )
        return sum(map(len, mine))

    def read(self, *entities: p4r.Entity) -> list[p4r.Entity]:
        """The same entities are read, in any order."""
        mine, other = (
            sorted(map(self._normal, side.client.read(*entities)), key=str) for side in (self.ours, self.theirs)
        )
        for entity in mine:
            assert entity in other, f"ours alone has\n{entity}of\n{_join(other)}"
        for entity in other:
            assert entity in mine, f"the reference alone has\n{entity}of\n{_join(mine)}"
        assert len(mine) == len(other)
        return mine

    def read_everything(self) -> None:
        """Entries of all tables with their counters, profiles, counters."""
        for table in self.p4info.tables:
            entry = p4r.TableEntry(table_id=table.preamble.id)
            if table.is_const_table:
                self._read_constants(entry)
                continue
            self.read(p4r.Entity(table_entry=entry))
            if any(self._is_counter(ident) for ident in table.direct_resource_ids):
                self.read(p4r.Entity(direct_counter_entry=p4r.DirectCounterEntry(table_entry=entry)))
        for profile in self.p4info.action_profiles:
            ident = profile.preamble.id
            if "one_shot" in profile.preamble.name:
                continue  # its members and groups are the switch's own affair
            self.read(p4r.Entity(action_profile_member=p4r.ActionProfileMember(action_profile_id=ident)))
            if profile.with_selector:
                self.read(p4r.Entity(action_profile_group=p4r.ActionProfileGroup(action_profile_id=ident)))
        for counter in self.p4info.counters:
            self.read(p4r.Entity(counter_entry=p4r.CounterEntry(counter_id=counter.preamble.id)))

    def packet_ins(self, wait_s: float = 0.3) -> int:
        """The same packet-ins have come since the last call, in any order; how many."""
        return self._arrived("packets", lambda packet: [(packet.payload, *sorted(_metadata(packet)))], wait_s)

    def digests(self, wait_s: float = 0.3) -> int:
        """The same samples have been learnt since the last call, in any order and in whatever lists; how many."""
        return self._arrived("digests", lambda digest: [(digest.digest_id, str(data)) for data in digest.data], wait_s)

    def _arrived(self, kind: str, parts: Callable[[Any], Sequence[object]], wait_s: float) -> int:
        clients = self.ours.client, self.theirs.client

        def counts() -> list[Counter[object]]:
            return [Counter(part for item in list(getattr(c, kind)) for part in parts(item)) for c in clients]

        until(lambda: len(set(map(Counter.total, counts()))) == 1)
        time.sleep(wait_s)  # for what should not come
        mine, other = counts()
        assert mine == other, f"{kind}: ours alone {mine - other}, the reference alone {other - mine}"
        for client in clients:
            getattr(client, kind).clear()
        return mine.total()

    def _read_constants(self, key: p4r.TableEntry) -> None:
        """Constant entries: BMv2 counts their priorities from the other end and does not mark them, against the specification."""
        mine, other = (
            sorted(
                (entity.table_entry for entity in side.client.read(p4r.Entity(table_entry=key))),
                key=lambda entry: entry.priority,
            )
            for side in (self.ours, self.theirs)
        )
        assert len(mine) == len(other)
        for ours, theirs in zip(mine, other, strict=True):
            assert ours.is_const
            for entry in (ours, theirs):
                entry.ClearField("priority")
                entry.ClearField("is_const")
            assert ours == theirs

    def _is_counter(self, ident: int) -> bool:
        return any(counter.preamble.id == ident for counter in self.p4info.direct_counters)

    def read_registers(self, bmv2_json: bytes) -> None:
        """All registers have the same cells, asked over Thrift, as BMv2 has no registers in P4Runtime."""
        for array in json.loads(bmv2_json)["register_arrays"]:
            mine, other = (
                side.thrift.call("standard", "bm_register_read_all", array["name"]) for side in (self.ours, self.theirs)
            )
            assert mine == other, f"register {array['name']}: ours {mine}, the reference {other}"

    def _normal(self, entity: p4r.Entity) -> p4r.Entity:
        """The repeated fields that are sets, in an order; and without the widest ranges, which BMv2 does not leave out."""
        if entity.HasField("table_entry"):
            self._sort_match(entity.table_entry)
            entity.table_entry.action.action_profile_action_set.action_profile_actions.sort(key=str)
        elif entity.HasField("direct_counter_entry"):
            self._sort_match(entity.direct_counter_entry.table_entry)
        elif entity.HasField("action_profile_group"):
            entity.action_profile_group.members.sort(key=lambda member: member.member_id)
        return entity

    def _sort_match(self, entry: p4r.TableEntry) -> None:
        widths = self._widths[entry.table_id]
        kept = [
            match
            for match in sorted(entry.match, key=lambda match: match.field_id)
            if not match.HasField("range")
            or int.from_bytes(match.range.low, "big") > 0
            or int.from_bytes(match.range.high, "big") != (1 << widths[match.field_id]) - 1
        ]
        entry.ClearField("match")
        entry.match.extend(kept)


def _metadata(packet: p4r.PacketIn) -> list[tuple[int, bytes]]:
    return [(item.metadata_id, item.value) for item in packet.metadata]


def _listing(packets: Sequence[Frame], explain: Callable[[bytes], str]) -> str:
    return "".join(f"  port {port}: {explain(packet)}\n" for port, packet in sorted(packets)) or "  nothing\n"


def _join(entities: Sequence[p4r.Entity]) -> str:
    return "\n".join(map(str, entities))
