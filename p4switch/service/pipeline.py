"""A forwarding pipeline configuration, checked and compiled: one handler for each kind of entity it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from p4base.lookup import P4InfoIndex
from p4base.messages import p4r
from p4switch.dataplane import Dataplane
from p4switch.service.action_plan import ActionPlan
from p4switch.service.action_profile import GroupHandler, MemberHandler, build_profiles
from p4switch.service.digests import DigestHandler, build_digests
from p4switch.service.direct import DirectCounterHandler, DirectMeterHandler
from p4switch.service.entity import EntityHandler
from p4switch.service.errors import Code, P4Error, invalid
from p4switch.service.externs import ExternHandler
from p4switch.service.indexed import Array, CounterHandler, RegisterHandler
from p4switch.service.match_plan import MatchPlan, table_match_plan
from p4switch.service.meters import MeterArray, MeterHandler, MeterPlan
from p4switch.service.p4data import make_codec as make_data_codec
from p4switch.service.packet_io import PACKET_IN, PACKET_OUT, controller_header
from p4switch.service.program import DeviceProgram, parse_program, unwrap_device_config
from p4switch.service.replication import ReplicationHandler
from p4switch.service.table_entry import Table, TableEntryHandler, build_tables
from p4switch.service.translation import StringMap, string_maps
from p4switch.service.value_sets import ValueSetHandler, build_value_sets
from p4switch.service.verify import check_consistent
from p4switch.service.wire_tables import make_codec

Handler = EntityHandler[Any]


class PipelineConfig:
    """A ForwardingPipelineConfig that is consistent, before it is bound to a data plane.

    Attributes:
        message: the client's, for reading it back.
        bmv2_json: what the data plane loads.
    """

    def __init__(self, message: p4r.ForwardingPipelineConfig) -> None:
        """Check the configuration.

        Raises:
            P4Error: INVALID_ARGUMENT naming the object that is wrong.
        """
        if not message.HasField("p4info"):
            raise invalid("the config has no p4info")
        if not message.p4_device_config:
            raise invalid("the config has no p4_device_config (the BMv2 JSON)")
        self.message = p4r.ForwardingPipelineConfig()
        self.message.CopyFrom(message)
        self.bmv2_json = unwrap_device_config(message.p4_device_config)
        self.program: DeviceProgram = parse_program(self.bmv2_json)
        self.index = P4InfoIndex(self.message.p4info)
        check_consistent(self.index, self.program)


class Pipeline:
    """A configuration bound to the data plane that runs it (or that stands in for it until it is committed).

    Attributes:
        packet_in, packet_out: the controller headers.
        tables: by id.
        codec: the data plane's own way of writing and reading table entries, if it has one.
    """

    def __init__(self, config: PipelineConfig, dataplane: Dataplane) -> None:
        self.config = config
        self.dataplane = dataplane
        strings = string_maps(config.message.p4info.type_info)
        self.packet_in = controller_header(config.index, PACKET_IN, config.program.header_types, strings)
        self.packet_out = controller_header(config.index, PACKET_OUT, config.program.header_types, strings)
        self.tables = _build_tables(config, strings)
        self.digests = DigestHandler(build_digests(config.message.p4info, config.program), dataplane)
        self._handlers = _build_handlers(config, dataplane, self.tables, self.digests)
        self.codec = make_codec(self.tables.values(), dataplane)
        for table in self.tables.values():
            table.codec = self.codec

    def handler(self, kind: str | None) -> Handler:
        """The handler of an entity, by the name of the field of `p4.v1.Entity` that is set.

        Raises:
            P4Error: INVALID_ARGUMENT, none is set; UNIMPLEMENTED, this data plane lacks that kind.
        """
        handler = self._handlers.get(kind or "")
        if handler is None:
            if kind is None:
                raise invalid("the entity is unset (or of a kind that this P4Runtime version does not have)")
            raise P4Error(Code.UNIMPLEMENTED, f"this data plane does not support {kind}")
        return handler

    def release(self) -> None:
        """Take out of the data plane what a new program would inherit."""
        replication = self._handlers["packet_replication_engine_entry"]
        if isinstance(replication, ReplicationHandler):
            replication.clear()


def _build_tables(config: PipelineConfig, strings: Mapping[str, StringMap]) -> dict[int, Table]:
    """The tables by id, with their action profiles and direct resources."""
    index, program = config.index, config.program
    p4info = config.message.p4info
    match_plans: dict[int, MatchPlan] = {}
    action_plans: dict[int, dict[int, ActionPlan]] = {}
    for info in p4info.tables:
        device = program.tables[info.preamble.name]
        match_plans[info.preamble.id] = table_match_plan(info, device, strings)
        action_plans[info.preamble.id] = {
            ref.id: ActionPlan(action, device.actions[action.preamble.name], strings)
            for ref in info.action_refs
            for action in [index.actions[ref.id]]
        }
    tables = build_tables(p4info, match_plans, action_plans)
    for counter in p4info.direct_counters:
        tables[counter.direct_table_id].direct_counter = True
    for meter in p4info.direct_meters:
        tables[meter.direct_table_id].direct_meter = MeterPlan(meter.preamble.name, meter.spec.type)
    return tables


def _build_handlers(
    config: PipelineConfig, dataplane: Dataplane, tables: Mapping[int, Table], digests: DigestHandler
) -> dict[str, Handler]:
    p4info = config.message.p4info
    profiles = build_profiles(p4info, {table.id: table.actions for table in tables.values()}, dataplane)
    for info in p4info.tables:
        if info.implementation_id:
            tables[info.preamble.id].profile = profiles[info.implementation_id]
    counters = {c.preamble.id: Array(c.preamble.id, "counter", c.preamble.name, c.size) for c in p4info.counters}
    registers = {
        r.preamble.id: Array(
            r.preamble.id, "register", r.preamble.name, r.size, make_data_codec(r.type_spec, p4info.type_info)
        )
        for r in p4info.registers
    }
    meters = {
        m.preamble.id: MeterArray(m.preamble.id, m.size, MeterPlan(m.preamble.name, m.spec.type)) for m in p4info.meters
    }
    entries = TableEntryHandler(tables, dataplane)
    return {
        "table_entry": entries,
        "action_profile_member": MemberHandler(profiles, dataplane),
        "action_profile_group": GroupHandler(profiles, dataplane),
        "counter_entry": CounterHandler(counters, dataplane),
        "direct_counter_entry": DirectCounterHandler(tables, entries, dataplane),
        "meter_entry": MeterHandler(meters, dataplane),
        "direct_meter_entry": DirectMeterHandler(tables, entries, dataplane),
        "packet_replication_engine_entry": ReplicationHandler(dataplane),
        "value_set_entry": ValueSetHandler(build_value_sets(p4info.value_sets), dataplane),
        "register_entry": RegisterHandler(registers, dataplane),
        "digest_entry": digests,
        "extern_entry": ExternHandler(),
    }
