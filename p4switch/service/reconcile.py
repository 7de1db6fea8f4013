"""Carrying the forwarding state over to another pipeline configuration (RECONCILE_AND_COMMIT, and replay at COMMIT)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from p4base.messages import p4r
from p4switch.dataplane import DataplaneError
from p4switch.service.entity import ReadScope
from p4switch.service.errors import P4Error, invalid
from p4switch.service.memory import MemoryDataplane
from p4switch.service.pipeline import Pipeline, PipelineConfig


def _pre(
    *,
    multicast_group_entry: p4r.MulticastGroupEntry | None = None,
    clone_session_entry: p4r.CloneSessionEntry | None = None,
) -> p4r.Entity:
    return p4r.Entity(
        packet_replication_engine_entry=p4r.PacketReplicationEngineEntry(
            multicast_group_entry=multicast_group_entry, clone_session_entry=clone_session_entry
        )
    )


_PRE = "packet_replication_engine_entry"

_TABLE_ENTRIES = p4r.TableEntry(counter_data=p4r.CounterData(), meter_config=p4r.MeterConfig())

# What has to be there before what: members, groups, entries. Arrays come last.
_ORDER: Sequence[tuple[str, p4r.Entity]] = (
    ("action_profile_member", p4r.Entity(action_profile_member=p4r.ActionProfileMember())),
    ("action_profile_group", p4r.Entity(action_profile_group=p4r.ActionProfileGroup())),
    (_PRE, _pre(multicast_group_entry=p4r.MulticastGroupEntry())),
    (_PRE, _pre(clone_session_entry=p4r.CloneSessionEntry())),
    ("table_entry", p4r.Entity(table_entry=_TABLE_ENTRIES)),
    ("table_entry", p4r.Entity(table_entry=p4r.TableEntry(is_default_action=True))),
    ("value_set_entry", p4r.Entity(value_set_entry=p4r.ValueSetEntry())),
    ("digest_entry", p4r.Entity(digest_entry=p4r.DigestEntry())),
)


def kept_arrays(old: PipelineConfig, new: PipelineConfig) -> frozenset[str]:
    """The registers, counters and meters that both programs have in the same shape: their cells need not be written again."""
    before, after = old.program, new.program
    registers = {
        name
        for name, size in before.registers.items()
        if after.registers.get(name) == size and after.register_widths[name] == before.register_widths[name]
    }
    counters = {name for name, size in before.counters.items() if after.counters.get(name) == size}
    types = {meter.preamble.name: meter.spec for meter in old.message.p4info.meters}
    meters = {
        meter.preamble.name
        for meter in new.message.p4info.meters
        if types.get(meter.preamble.name) == meter.spec
        and before.meters.get(meter.preamble.name) == after.meters[meter.preamble.name]
    }
    return frozenset(registers | counters | meters)


def _arrays(config: PipelineConfig, kept: Collection[str]) -> Iterator[tuple[str, p4r.Entity]]:
    """Requests for the arrays that have to be written cell by cell."""
    info = config.message.p4info
    for meter in info.meters:
        if meter.preamble.name not in kept:
            yield "meter_entry", p4r.Entity(meter_entry=p4r.MeterEntry(meter_id=meter.preamble.id))
    for counter in info.counters:
        if counter.preamble.name not in kept:
            yield "counter_entry", p4r.Entity(counter_entry=p4r.CounterEntry(counter_id=counter.preamble.id))
    for register in info.registers:
        if register.preamble.name not in kept:
            yield "register_entry", p4r.Entity(register_entry=p4r.RegisterEntry(register_id=register.preamble.id))


def installed_state(pipeline: Pipeline, kept: Collection[str]) -> list[p4r.Update]:
    """The updates that bring a fresh data plane with the same program to the state of this one, but for arrays in `kept`."""
    fresh = Pipeline(pipeline.config, MemoryDataplane(pipeline.config.program))
    updates = []
    for kind, request in (*_ORDER, *_arrays(pipeline.config, kept)):
        initial = {entity.SerializeToString(deterministic=True) for entity in _read(fresh, kind, request)}
        inserted = kind in ("action_profile_member", "action_profile_group", _PRE, "digest_entry")
        for entity in _read(pipeline, kind, request):
            if entity.SerializeToString(deterministic=True) in initial:
                continue  # the program's own: a default action, an empty cell
            if entity.table_entry.is_const:
                continue
            insert = inserted or (kind == "table_entry" and not entity.table_entry.is_default_action)
            updates.append(p4r.Update(type=p4r.Update.INSERT if insert else p4r.Update.MODIFY, entity=entity))
    return updates


def _read(pipeline: Pipeline, kind: str, request: p4r.Entity) -> Iterable[p4r.Entity]:
    answers: list[bytes] = []
    pipeline.handler(kind).read(getattr(request, kind), ReadScope(), answers.append)
    for answer in answers:
        yield from p4r.ReadResponse.FromString(answer).entities


def replay(updates: Iterable[p4r.Update], pipeline: Pipeline) -> None:
    """Carry out updates that are expected to succeed.

    Raises:
        P4Error, DataplaneError: the first one that does not.
    """
    for update in updates:
        kind = update.entity.WhichOneof("entity")
        handler = pipeline.handler(kind)
        assert kind is not None
        handler.write(update.type, getattr(update.entity, kind))


def rehearse(updates: Iterable[p4r.Update], config: PipelineConfig, staging: MemoryDataplane) -> None:
    """Check that the state can be carried over to `config`, by doing so on a `staging` data plane that has its program.

    Raises:
        P4Error: INVALID_ARGUMENT naming what cannot.
    """
    try:
        replay(updates, Pipeline(config, staging))
    except (P4Error, DataplaneError) as error:
        raise invalid(f"the forwarding state cannot be preserved under the new config: {error}") from None
