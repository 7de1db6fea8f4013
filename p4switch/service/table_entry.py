"""Table entries (specification, "TableEntry"): the service's hot path in both directions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from p4base.messages import p4i, p4r
from p4switch.dataplane import (
    PLAIN,
    Action,
    Attributes,
    Counter,
    Dataplane,
    DataplaneError,
    Entry,
    GroupRef,
    Match,
    MemberRef,
    TableAction,
    WireCodec,
    WireQuery,
)
from p4switch.service import wire
from p4switch.service.action_plan import ActionPlan
from p4switch.service.action_profile import OneShot, Profile
from p4switch.service.entity import DELETE, INSERT, MODIFY, TABLE_ENTRY, Emit, ReadScope, answer
from p4switch.service.errors import Code, P4Error, invalid
from p4switch.service.match_plan import MatchPlan
from p4switch.service.meters import MeterPlan, check_cleared, colours_to_wire, config_to_wire, counter_to_wire

_answer = answer(TABLE_ENTRY)

# Field numbers of p4.v1.TableEntry and p4.v1.TableAction.
_TABLE_ID = 1
_ACTION = wire.tag(3, wire.BYTES)
_CONTROLLER_METADATA = 5
_METER_CONFIG = 6
_COUNTER_DATA = 7
_IS_DEFAULT = wire.varint_field(8, 1)
_IDLE_TIMEOUT = 9
_TIME_SINCE_LAST_HIT = 10
_METADATA = 11
_METER_COUNTER_DATA = 12
_IS_CONST = wire.varint_field(13, 1)
_STREAM_IDLE = 4  # in p4.v1.StreamMessageResponse
_DIRECT_ACTION = wire.tag(1, wire.BYTES)
_MEMBER_ID = 2
_GROUP_ID = 3


class Details(msgspec.Struct, frozen=True):
    """Which fields of an entry are read beside its match, action and metadata."""

    counter: bool = False
    meter: bool = False
    colours: bool = False
    last_hit: bool = False


PLAINLY = Details()
EVERYTHING = Details(counter=True, meter=True)
"""What writing an entry again needs to restore it."""


@dataclass(slots=True)
class Table:
    """One table: its plans and what the service remembers of its entries.

    Attributes:
        actions: those an entry may use, by action id; `default_actions` likewise for the default entry.
        by_name: every action that can come back from the data plane.
        has_timeout: the program lets entries of this table age.
        direct_meter: None if there is none.
        default_note: the default entry's metadata, on the wire.
        one_shots: of those entries that have any.
        codec: the data plane's own way, if it has one.
    """

    id: int
    name: str
    match: MatchPlan
    actions: Mapping[int, ActionPlan]
    default_actions: Mapping[int, ActionPlan]
    by_name: Mapping[str, ActionPlan]
    const: bool
    const_default: bool
    has_timeout: bool
    profile: Profile | None = None
    direct_counter: bool = False
    direct_meter: MeterPlan | None = None
    default_note: bytes = b""
    one_shots: dict[Match, OneShot] = field(default_factory=dict)
    codec: WireCodec | None = None

    def encode_action(self, action: p4r.Action, *, default: bool) -> Action:
        """The action of an entry, or of the default entry, packed."""
        plan = (self.default_actions if default else self.actions).get(action.action_id)
        if plan is None:
            raise self._wrong_action(action.action_id, default)
        return plan.encode(action.params)

    def _wrong_action(self, action_id: int, default: bool) -> P4Error:
        other = (self.actions if default else self.default_actions).get(action_id)
        if other is not None:
            place = "an entry, not as the default action" if default else "the default action, not in an entry"
            return P4Error(
                Code.PERMISSION_DENIED, f"table {self.name}: action {other.name} may only be used as {place}"
            )
        known = ", ".join(
            f"{plan.name} (0x{plan.id:08x})" for plan in (self.default_actions if default else self.actions).values()
        )
        return invalid(f"table {self.name} has no action with id 0x{action_id:08x}; its actions are {known}")


class TableEntryHandler:
    """`TableEntry`."""

    def __init__(self, tables: Mapping[int, Table], dataplane: Dataplane) -> None:
        self._tables = tables
        self._dataplane = dataplane

    def p4_id(self, message: p4r.TableEntry) -> int:
        return message.table_id

    def find(self, table_id: int) -> Table:
        """The table with that id."""
        table = self._tables.get(table_id)
        if table is None:
            raise invalid(f"no table has the id 0x{table_id:08x}")
        return table

    # -- writing

    def write(self, kind: int, message: p4r.TableEntry) -> None:
        table = self.find(message.table_id)
        if message.is_const:
            raise invalid(f"table {table.name}: is_const must not be set in a write")
        if message.is_default_action:
            self._write_default(kind, table, message)
            return
        match = table.match.encode(message.match, message.priority)
        if table.const:
            self._write_const(kind, table, match, message)
            return
        if kind == DELETE:
            self._delete(table, match)
            return
        self._check_fields(table, message)
        attributes = self._attributes(table, message)
        if kind == INSERT:
            if not table.match.fields:
                raise invalid(f"table {table.name} has no key, so it takes no entries, only a default action")
            self._insert(table, match, message, attributes)
            return
        if message.HasField("action"):
            self._modify(table, match, message, attributes)
        else:
            self._dataplane.modify_entry(table.name, match, self._require(table, match).action, attributes)
        if message.HasField("meter_counter_data"):
            self._dataplane.clear_direct_meter(table.name, match)

    def _write_const(self, kind: int, table: Table, match: Match, message: p4r.TableEntry) -> None:
        if kind != MODIFY or message.HasField("action") or note_of(message) or message.idle_timeout_ns:
            raise P4Error(
                Code.PERMISSION_DENIED,
                f"the entries of table {table.name} are constant; only their direct counters and meters can be modified",
            )
        self._check_fields(table, message)
        attributes = self._attributes(table, message)
        self._require(table, match)
        if attributes.counter is not None:
            self._dataplane.write_direct_counter(table.name, match, attributes.counter)
        if table.direct_meter is not None:
            self._dataplane.write_direct_meter(table.name, match, attributes.meter)
        if message.HasField("meter_counter_data"):
            self._dataplane.clear_direct_meter(table.name, match)

    @staticmethod
    def _attributes(table: Table, message: p4r.TableEntry) -> Attributes:
        """What is written with the entry beside match and action."""
        note = note_of(message)
        with_counter = message.HasField("counter_data")
        with_meter = message.HasField("meter_config")
        if not (note or with_counter or with_meter or message.idle_timeout_ns):
            return PLAIN
        counter = meter = None
        if with_counter:
            if not table.direct_counter:
                raise invalid(f"table {table.name} has no direct counter")
            counter = counter_value(message.counter_data, f"table {table.name}")
        if with_meter:
            assert table.direct_meter is not None  # _check_fields
            meter = table.direct_meter.decode(message.meter_config)
        return Attributes(note, message.idle_timeout_ns, counter, meter)

    def _insert(self, table: Table, match: Match, message: p4r.TableEntry, attributes: Attributes) -> None:
        if table.profile is None:
            self._dataplane.insert_entry(table.name, match, self._direct_action(table, message), attributes)
            return
        action, one_shot = self._indirect_action(table, message)
        try:
            self._dataplane.insert_entry(table.name, match, action, attributes)
        except DataplaneError:
            if one_shot is not None:
                table.profile.delete_one_shot(one_shot)
            raise
        if one_shot is not None:
            table.one_shots[match] = one_shot

    def _modify(self, table: Table, match: Match, message: p4r.TableEntry, attributes: Attributes) -> None:
        if table.profile is None:
            self._dataplane.modify_entry(table.name, match, self._direct_action(table, message), attributes)
            return
        action, one_shot = self._indirect_action(table, message)
        try:
            self._dataplane.modify_entry(table.name, match, action, attributes)
        except DataplaneError:
            if one_shot is not None:
                table.profile.delete_one_shot(one_shot)
            raise
        old = table.one_shots.pop(match, None)
        if one_shot is not None:
            table.one_shots[match] = one_shot
        if old is not None:
            table.profile.delete_one_shot(old)

    def _delete(self, table: Table, match: Match) -> None:
        self._dataplane.delete_entry(table.name, match)
        one_shot = table.one_shots.pop(match, None) if table.one_shots else None
        if one_shot is not None:
            assert table.profile is not None
            table.profile.delete_one_shot(one_shot)

    def _direct_action(self, table: Table, message: p4r.TableEntry) -> Action:
        action = message.action.action
        plan = table.actions.get(action.action_id)
        if plan is not None:
            return plan.encode(action.params)
        kind = message.action.WhichOneof("type")
        if kind != "action":
            raise invalid(f"table {table.name}: the entry's action is {kind or 'unset'}, expected an action")
        return table.encode_action(action, default=False)

    def _indirect_action(self, table: Table, message: p4r.TableEntry) -> tuple[TableAction, OneShot | None]:
        profile = table.profile
        assert profile is not None
        action = message.action
        match action.WhichOneof("type"):
            case "action_profile_member_id" if action.action_profile_member_id and not profile.one_shots:
                return MemberRef(action.action_profile_member_id), None
            case "action_profile_group_id" if (
                action.action_profile_group_id and profile.with_selector and not profile.one_shots
            ):
                return GroupRef(action.action_profile_group_id), None
            case "action_profile_action_set":
                one_shot = profile.insert_one_shot(table.name, action)
                return GroupRef(one_shot.group_id), one_shot
            case kind:
                wanted = "a member, a group or an action set" if profile.with_selector else "a member"
                if profile.one_shots:
                    wanted = "an action set, as the selector is programmed in one shot"
                given: str = kind or "unset"
                if kind in ("action_profile_member_id", "action_profile_group_id"):
                    given = f"{kind} {getattr(action, kind)}"
                raise invalid(
                    f"table {table.name} has the action profile {profile.name}: the entry's action is {given}, "
                    f"expected {wanted}"
                )

    def _write_default(self, kind: int, table: Table, message: p4r.TableEntry) -> None:
        """The default entry can only be modified, or reset by leaving the action unset ("Default Entry")."""
        if kind != MODIFY:
            raise invalid(f"table {table.name}: the default entry can only be modified")
        if len(message.match) or message.priority:
            raise invalid(f"table {table.name}: the default entry has neither a match nor a priority")
        if table.const_default:
            raise P4Error(Code.PERMISSION_DENIED, f"the default action of table {table.name} is constant")
        self._check_fields(table, message)
        if message.HasField("counter_data"):
            raise P4Error(
                Code.UNIMPLEMENTED, f"table {table.name}: the default entry has no direct counter on this device"
            )
        if not message.HasField("action"):
            self._dataplane.set_default_action(table.name, None)
            table.default_note = b""
            return
        if table.profile is not None:
            raise invalid(f"table {table.name} has an action profile: its default action cannot be changed")
        kind_of_action = message.action.WhichOneof("type")
        if kind_of_action != "action":
            raise invalid(f"table {table.name}: the default action is {kind_of_action or 'unset'}, expected an action")
        self._dataplane.set_default_action(table.name, table.encode_action(message.action.action, default=True))
        table.default_note = note_of(message)

    def _check_fields(self, table: Table, message: p4r.TableEntry) -> None:
        """Fields that not every table, nor every data plane, takes."""
        if message.HasField("time_since_last_hit"):
            raise invalid(f"table {table.name}: time_since_last_hit must be unset in a write")
        if message.idle_timeout_ns:
            self._check_timeout(table)
            if message.is_default_action:
                raise invalid(f"table {table.name}: the default entry has no idle timeout")
            if message.idle_timeout_ns < 0:
                raise invalid(f"table {table.name}: idle_timeout_ns {message.idle_timeout_ns} is negative")
        if message.HasField("meter_config") or message.HasField("meter_counter_data"):
            self._check_meter(table)
            if message.is_default_action:
                raise P4Error(
                    Code.UNIMPLEMENTED, f"table {table.name}: the default entry has no direct meter on this device"
                )
            check_cleared(message.meter_counter_data, f"table {table.name}")

    @staticmethod
    def _check_timeout(table: Table) -> None:
        if not table.has_timeout:
            raise invalid(f"table {table.name} does not support idle timeouts")

    @staticmethod
    def _check_meter(table: Table) -> None:
        if table.direct_meter is None:
            raise invalid(f"table {table.name} has no direct meter")

    def _require(self, table: Table, match: Match) -> Entry:
        entry = self._dataplane.read_entry(table.name, match)
        if entry is None:
            raise P4Error(Code.NOT_FOUND, f"table {table.name} has no entry with this key")
        return entry

    # -- reading

    def read(self, message: p4r.TableEntry, scope: ReadScope, emit: Emit) -> None:
        if not message.table_id:
            if len(message.match) or message.HasField("action"):
                raise invalid("a read of all tables (table_id 0) cannot be filtered by match or action")
            for table in self._tables.values():
                if scope.sees(table.id):
                    self._read_table(table, message, emit, wildcard=True)
            return
        table = self.find(message.table_id)
        scope.check(table.id, table.name)
        self._read_table(table, message, emit, wildcard=False)

    def _read_table(self, table: Table, message: p4r.TableEntry, emit: Emit, *, wildcard: bool) -> None:
        """Emit the entries of one table.

        Args:
            wildcard: the client asked for all tables, so that a counter, say, is given where there is one, not required.
        """
        if not wildcard:
            if message.HasField("counter_data") and not table.direct_counter:
                raise invalid(f"table {table.name} has no direct counter")
            if message.HasField("time_since_last_hit"):
                self._check_timeout(table)
            if message.HasField("meter_config") or message.HasField("meter_counter_data"):
                self._check_meter(table)
        if message.is_default_action:
            self._read_default(table, message, emit)
            return
        details = Details(
            counter=message.HasField("counter_data") and table.direct_counter,
            meter=message.HasField("meter_config") and table.direct_meter is not None,
            colours=message.HasField("meter_counter_data") and table.direct_meter is not None,
            last_hit=message.HasField("time_since_last_hit") and table.has_timeout,
        )
        entries: Iterable[Entry]
        if message.priority and not table.match.has_priority and not len(message.match):
            return
        if not len(message.match) and self._read_natively(table, message, emit, details):
            return
        if len(message.match):
            entries = self._read_key(table, message)
        else:
            entries = self._dataplane.read_entries(table.name)
            if message.priority:
                entries = (e for e in entries if e.match.priority == message.priority)
        wanted = self._filtered_action(table, message)
        if wanted is not None:
            name = wanted.name
            entries = (e for e in entries if isinstance(e.action, Action) and e.action.name == name)
        if message.metadata or message.controller_metadata:
            entries = (e for e in entries if _note_matches(e.note, message))
        to_wire = entry_to_wire(table, details)
        for entry in entries:
            emit(_answer(to_wire(entry)))

    def _read_natively(self, table: Table, message: p4r.TableEntry, emit: Emit, details: Details) -> bool:
        """Let the data plane write the answers; false, and nothing is emitted, if it has to be done here."""
        if table.codec is None or table.one_shots or message.metadata or message.controller_metadata:
            return False
        action = self._filtered_action(table, message)
        chunks = table.codec.read(
            table.name,
            WireQuery(
                priority=message.priority,
                action=None if action is None else action.name,
                counter=details.counter,
                meter=details.meter,
                colours=details.colours,
                last_hit=details.last_hit,
            ),
        )
        if chunks is None:
            return False
        for chunk in chunks:
            emit(chunk)
        return True

    def _read_key(self, table: Table, message: p4r.TableEntry) -> Iterable[Entry]:
        """The entry with exactly this key; an unset priority stands for any, so that there may be several."""
        if not table.match.knows(message.match):
            return []
        if message.priority or not table.match.has_priority:
            entry = self._dataplane.read_entry(table.name, table.match.encode(message.match, message.priority))
            return [] if entry is None else [entry]
        wanted = table.match.encode(message.match, 1)
        return [
            entry
            for entry in self._dataplane.read_entries(table.name)
            if (entry.match.value, entry.match.mask) == (wanted.value, wanted.mask)
        ]

    @staticmethod
    def _filtered_action(table: Table, message: p4r.TableEntry) -> ActionPlan | None:
        """The action that entries must have. Only its id filters, and only in direct tables ("Wildcard Reads")."""
        if not message.HasField("action"):
            return None
        if table.profile is not None or message.action.WhichOneof("type") != "action":
            raise invalid(f"table {table.name}: entries can be filtered by an action id of a direct table only")
        action_id = message.action.action.action_id
        if not action_id:
            return None
        plan = table.actions.get(action_id) or table.default_actions.get(action_id)
        if plan is None:
            raise invalid(f"table {table.name} has no action with id 0x{action_id:08x}")
        return plan

    def _read_default(self, table: Table, message: p4r.TableEntry, emit: Emit) -> None:
        if len(message.match) or message.priority:
            raise invalid(f"table {table.name}: the default entry has neither a match nor a priority")
        emit(_answer(self._default_to_wire(table)))

    def _default_to_wire(self, table: Table) -> bytes:
        parts = [wire.varint_field(_TABLE_ID, table.id)]
        action = self._dataplane.default_action(table.name)
        if action is not None and not (isinstance(action, Action) and action.name not in table.by_name):
            parts.append(_ACTION + _length_prefixed(_table_action_to_wire(table, action)))
        parts.append(_IS_DEFAULT)
        parts.append(table.default_note)
        if table.const_default:
            parts.append(_IS_CONST)
        return b"".join(parts)

    # -- for roll-back

    def snapshot(self, message: p4r.TableEntry) -> Iterable[p4r.Entity]:
        table = self.find(message.table_id)
        entity = p4r.Entity()
        if message.is_default_action:
            entity.table_entry.ParseFromString(self._default_to_wire(table))
            return [entity]
        match = table.match.encode(message.match, message.priority)
        entry = self._dataplane.read_entry(table.name, match)
        if entry is None:
            return []
        entity.table_entry.ParseFromString(entry_to_wire(table, EVERYTHING)(entry))
        entity.table_entry.is_const = False
        return [entity]


def counter_value(data: p4r.CounterData, what: str) -> Counter:
    """The counter value of a message."""
    if data.packet_count < 0 or data.byte_count < 0:
        raise invalid(f"{what}: a counter cannot be negative")
    return Counter(data.packet_count, data.byte_count)


def entry_to_wire(table: Table, details: Details = PLAINLY) -> Callable[[Entry], bytes]:
    """A function that writes an entry of `table` as a TableEntry message."""
    head = wire.varint_field(_TABLE_ID, table.id)
    match_to_wire = table.match.to_wire
    by_name = table.by_name
    tail = _IS_CONST if table.const else b""
    varint = wire.varint

    def to_wire(entry: Entry) -> bytes:
        match = entry.match
        action = entry.action
        if type(action) is Action:
            body = by_name[action.name].to_wire(action.args)
            inner = _DIRECT_ACTION + varint(len(body))
            written = _ACTION + varint(len(inner) + len(body)) + inner + body
        else:
            one_shot = table.one_shots.get(match)
            body = _table_action_to_wire(table, action) if one_shot is None else one_shot.table_action
            written = _ACTION + varint(len(body)) + body
        result = head + match_to_wire(match) + written + tail
        if entry.note:
            result += entry.note
        if entry.idle_timeout_ns:
            result += wire.varint_field(_IDLE_TIMEOUT, entry.idle_timeout_ns)
        if details is not PLAINLY:
            result += _details_to_wire(entry, details)
        return result

    return to_wire


def _details_to_wire(entry: Entry, details: Details) -> bytes:
    result = b""
    if details.counter and entry.counter is not None:
        result += wire.bytes_field(_COUNTER_DATA, counter_to_wire(entry.counter))
    if details.meter and entry.meter is not None and entry.meter.config is not None:
        result += wire.bytes_field(_METER_CONFIG, config_to_wire(entry.meter.config))
    if details.colours and entry.meter is not None:
        result += wire.bytes_field(_METER_COUNTER_DATA, colours_to_wire(entry.meter))
    if details.last_hit:
        result += wire.bytes_field(_TIME_SINCE_LAST_HIT, wire.varint_field(1, entry.idle_ns))
    return result


def key_to_wire(table: Table, match: Match) -> bytes:
    """The key fields of an entry: a TableEntry without its action."""
    return wire.varint_field(_TABLE_ID, table.id) + table.match.to_wire(match)


def _table_action_to_wire(table: Table, action: TableAction) -> bytes:
    if isinstance(action, Action):
        return _DIRECT_ACTION + _length_prefixed(table.by_name[action.name].to_wire(action.args))
    if isinstance(action, MemberRef):
        return wire.varint_field(_MEMBER_ID, action.member_id)
    return wire.varint_field(_GROUP_ID, action.group_id)


def _length_prefixed(payload: bytes) -> bytes:
    return wire.varint(len(payload)) + payload


def note_of(message: p4r.TableEntry) -> bytes:
    """What a client attached to an entry that means nothing to the data plane: its metadata fields, on the wire."""
    note = wire.varint_field(_CONTROLLER_METADATA, message.controller_metadata)
    return note + wire.bytes_field(_METADATA, message.metadata) if message.metadata else note


def _note_matches(note: bytes, message: p4r.TableEntry) -> bool:
    """Whether an entry has the metadata that is asked for; an unset field stands for any."""
    written = dict(wire.fields(note))
    return (not message.metadata or written.get(_METADATA) == message.metadata) and (
        not message.controller_metadata or written.get(_CONTROLLER_METADATA) == message.controller_metadata
    )


def idle_notification(table: Table, entries: Iterable[Entry], timestamp_ns: int) -> bytes:
    """A serialised StreamMessageResponse with an IdleTimeoutNotification. Entries are given with their actions, too."""
    to_wire = entry_to_wire(table)
    body = b"".join(wire.bytes_field(1, to_wire(entry)) for entry in entries)
    return wire.bytes_field(_STREAM_IDLE, body + wire.varint_field(2, timestamp_ns))


def build_tables(
    p4info: p4i.P4Info,
    match_plans: Mapping[int, MatchPlan],
    action_plans: Mapping[int, Mapping[int, ActionPlan]],
) -> dict[int, Table]:
    """The tables of a P4Info; profiles and direct resources are attached by the caller.

    Args:
        action_plans: for each table id, all its actions by action id.
    """
    tables = {}
    for info in p4info.tables:
        plans = action_plans[info.preamble.id]
        scopes = {ref.id: ref.scope for ref in info.action_refs}
        tables[info.preamble.id] = Table(
            id=info.preamble.id,
            name=info.preamble.name,
            match=match_plans[info.preamble.id],
            actions={i: plan for i, plan in plans.items() if scopes[i] != p4i.ActionRef.DEFAULT_ONLY},
            default_actions={i: plan for i, plan in plans.items() if scopes[i] != p4i.ActionRef.TABLE_ONLY},
            by_name={plan.name: plan for plan in plans.values()},
            const=info.is_const_table,
            const_default=info.const_default_action_id != 0,
            has_timeout=info.idle_timeout_behavior != p4i.Table.NO_TIMEOUT,
        )
    return tables
