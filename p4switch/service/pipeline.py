"""A forwarding pipeline configuration, checked and compiled: one handler for each kind of entity it has."""

from __future__ import annotations

from typing import Any

from p4base.lookup import P4InfoIndex
from p4base.messages import p4r
from p4switch.dataplane import Dataplane, ReplicatingDataplane
from p4switch.service.absent import AbsentHandler
from p4switch.service.action_plan import ActionPlan
from p4switch.service.action_profile import GroupHandler, MemberHandler, build_profiles
from p4switch.service.entity import EntityHandler
from p4switch.service.errors import Code, P4Error, invalid
from p4switch.service.fast_entry import make_fast_writer
from p4switch.service.indexed import Array, CounterHandler, DirectCounterHandler, RegisterHandler
from p4switch.service.match_plan import MatchPlan
from p4switch.service.p4data import scalar_codec
from p4switch.service.packet_io import PACKET_IN, PACKET_OUT, controller_header
from p4switch.service.program import DeviceProgram, parse_program, unwrap_device_config
from p4switch.service.replication import ReplicationHandler
from p4switch.service.table_entry import Table, TableEntryHandler, build_tables
from p4switch.service.verify import check_consistent

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
        write_fast: tries the short way of a serialised update.
    """

    def __init__(self, config: PipelineConfig, dataplane: Dataplane) -> None:
        self.config = config
        self.dataplane = dataplane
        self.packet_in = controller_header(config.index, PACKET_IN)
        self.packet_out = controller_header(config.index, PACKET_OUT)
        tables, self._handlers = _build_handlers(config, dataplane)
        self.write_fast = make_fast_writer(tables, dataplane)

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


def _build_handlers(config: PipelineConfig, dataplane: Dataplane) -> tuple[list[Table], dict[str, Handler]]:
    index, program = config.index, config.program
    p4info = config.message.p4info
    match_plans: dict[int, MatchPlan] = {}
    action_plans: dict[int, dict[int, ActionPlan]] = {}
    for info in p4info.tables:
        device = program.tables[info.preamble.name]
        match_plans[info.preamble.id] = MatchPlan(info, device)
        action_plans[info.preamble.id] = {
            ref.id: ActionPlan(action, device.actions[action.preamble.name])
            for ref in info.action_refs
            for action in [index.actions[ref.id]]
        }
    tables = build_tables(p4info, match_plans, action_plans)
    profiles = build_profiles(p4info, {table.id: table.actions for table in tables.values()}, dataplane)
    for info in p4info.tables:
        if info.implementation_id:
            tables[info.preamble.id].profile = profiles[info.implementation_id]
    for counter in p4info.direct_counters:
        tables[counter.direct_table_id].direct_counter = True
    for meter in p4info.direct_meters:
        tables[meter.direct_table_id].direct_meter = True
    counters = {c.preamble.id: Array(c.preamble.id, "counter", c.preamble.name, c.size) for c in p4info.counters}
    registers = {
        r.preamble.id: Array(
            r.preamble.id, "register", r.preamble.name, r.size, scalar_codec(r.type_spec, p4info.type_info)
        )
        for r in p4info.registers
    }
    entries = TableEntryHandler(tables, dataplane)
    absent = ["value_set_entry", "digest_entry"]
    if not p4info.meters:  # a program's own meters exist without being written: reading them cannot find nothing
        absent.append("meter_entry")
    if not p4info.direct_meters:
        absent.append("direct_meter_entry")
    replication: Handler = AbsentHandler("packet_replication_engine_entry")
    if isinstance(dataplane, ReplicatingDataplane):
        replication = ReplicationHandler(dataplane)
    handlers: dict[str, Handler] = {
        **{kind: AbsentHandler(kind) for kind in absent},
        "packet_replication_engine_entry": replication,
        "table_entry": entries,
        "action_profile_member": MemberHandler(profiles, dataplane),
        "action_profile_group": GroupHandler(profiles, dataplane),
        "counter_entry": CounterHandler(counters, dataplane),
        "direct_counter_entry": DirectCounterHandler(tables, entries, dataplane),
        "register_entry": RegisterHandler(registers, dataplane),
    }
    return list(tables.values()), handlers
