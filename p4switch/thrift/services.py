"""BMv2's Thrift services: their structs, errors and calls, under the names that TMultiplexedProtocol gives them.

Values of keys and of action parameters are big-endian bytes of ceil(width / 8). Numbers are signed; what is unsigned in the switch
is sent as its two's complement.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar

from p4switch.thrift.protocol import (
    BINARY,
    BOOL,
    DOUBLE,
    I16,
    I32,
    I64,
    STRING,
    Fields,
    ListOf,
    MapOf,
    Method,
    StructOf,
    ThriftError,
    Type,
)

# -- enumerations


class MatchType(IntEnum):
    EXACT = 0
    LPM = 1
    TERNARY = 2
    VALID = 3
    RANGE = 4


class ActionEntryType(IntEnum):
    NONE = 0
    ACTION_DATA = 1
    MBR_HANDLE = 2
    GRP_HANDLE = 3


class ResourceType(IntEnum):
    MATCH_TABLE = 0
    ACTION_PROFILE = 1
    COUNTER = 2
    METER = 3
    REGISTER = 4
    LEARNING_LIST = 5


# -- errors


class TableError(IntEnum):
    TABLE_FULL = 1
    INVALID_HANDLE = 2
    EXPIRED_HANDLE = 3
    COUNTERS_DISABLED = 4
    METERS_DISABLED = 5
    AGEING_DISABLED = 6
    INVALID_TABLE_NAME = 7
    INVALID_ACTION_NAME = 8
    WRONG_TABLE_TYPE = 9
    INVALID_MBR_HANDLE = 10
    MBR_STILL_USED = 11
    MBR_ALREADY_IN_GRP = 12
    MBR_NOT_IN_GRP = 13
    INVALID_GRP_HANDLE = 14
    GRP_STILL_USED = 15
    EMPTY_GRP = 16
    DUPLICATE_ENTRY = 17
    BAD_MATCH_KEY = 18
    INVALID_METER_OPERATION = 19
    DEFAULT_ACTION_IS_CONST = 20
    DEFAULT_ENTRY_IS_CONST = 21
    NO_DEFAULT_ENTRY = 22
    INVALID_ACTION_PROFILE_NAME = 23
    NO_ACTION_PROFILE_SELECTION = 24
    IMMUTABLE_TABLE_ENTRIES = 25
    BAD_ACTION_DATA = 26
    NO_TABLE_KEY = 27
    ERROR = 100


class InvalidTableOperation(ThriftError):
    KIND = "table operation"
    CODES: ClassVar[dict[int, str]] = {code.value: code.name for code in TableError}


class InvalidCounterOperation(ThriftError):
    KIND = "counter operation"
    CODES: ClassVar[dict[int, str]] = {1: "INVALID_COUNTER_NAME", 2: "INVALID_INDEX", 3: "ERROR"}


class InvalidSwapOperation(ThriftError):
    KIND = "swap operation"
    CODES: ClassVar[dict[int, str]] = {1: "CONFIG_SWAP_DISABLED", 2: "ONGOING_SWAP", 3: "NO_ONGOING_SWAP"}


class InvalidMeterOperation(ThriftError):
    KIND = "meter operation"
    CODES: ClassVar[dict[int, str]] = {
        1: "INVALID_METER_NAME",
        2: "INVALID_INDEX",
        3: "BAD_RATES_LIST",
        4: "INVALID_INFO_RATE_VALUE",
        5: "INVALID_BURST_SIZE_VALUE",
        6: "ERROR",
    }


class InvalidRegisterOperation(ThriftError):
    KIND = "register operation"
    CODES: ClassVar[dict[int, str]] = {1: "INVALID_REGISTER_NAME", 2: "INVALID_INDEX", 3: "ERROR"}


class InvalidParseVSetOperation(ThriftError):
    KIND = "parser value set operation"
    CODES: ClassVar[dict[int, str]] = {1: "INVALID_PARSE_VSET_NAME", 2: "ERROR"}


class InvalidLearnOperation(ThriftError):
    KIND = "learn operation"
    CODES: ClassVar[dict[int, str]] = {1: "INVALID_LIST_ID", 2: "INVALID_LIST_NAME", 3: "ERROR"}


class InvalidDevMgrOperation(ThriftError):
    KIND = "device manager operation"
    CODES: ClassVar[dict[int, str]] = {1: "ERROR"}


class InvalidCrcOperation(ThriftError):
    KIND = "crc operation"
    CODES: ClassVar[dict[int, str]] = {1: "INVALID_CALCULATION_NAME", 2: "WRONG_TYPE_CALCULATION", 3: "INVALID_CONFIG"}


class InvalidToeplitzHashOperation(ThriftError):
    KIND = "Toeplitz hash operation"
    CODES: ClassVar[dict[int, str]] = {1: "INVALID_CALCULATION_NAME", 2: "WRONG_TYPE_CALCULATION", 3: "INVALID_KEY"}


class InvalidIdLookup(ThriftError):
    KIND = "id lookup"
    CODES: ClassVar[dict[int, str]] = {0: "INVALID_RESOURCE_TYPE", 1: "INVALID_RESOURCE_NAME"}


class InvalidMcOperation(ThriftError):
    KIND = "PRE operation"
    CODES: ClassVar[dict[int, str]] = {
        1: "TABLE_FULL",
        2: "INVALID_MGID",
        3: "INVALID_MGRP_HANDLE",
        4: "INVALID_L1_HANDLE",
        5: "ERROR",
    }


class InvalidMirroringOperation(ThriftError):
    KIND = "mirroring operation"
    CODES: ClassVar[dict[int, str]] = {1: "SESSION_NOT_FOUND"}


# -- structs


@dataclass
class ExactParam:
    key: bytes = b""


@dataclass
class LpmParam:
    key: bytes = b""
    prefix_length: int = 0


@dataclass
class TernaryParam:
    key: bytes = b""
    mask: bytes = b""


@dataclass
class ValidParam:
    key: bool = False


@dataclass
class RangeParam:
    start: bytes = b""
    end_: bytes = b""


@dataclass
class MatchParam:
    """One field of a match key: `type` says which of the others is set."""

    type: int = 0
    exact: ExactParam | None = None
    lpm: LpmParam | None = None
    ternary: TernaryParam | None = None
    valid: ValidParam | None = None
    range: RangeParam | None = None


@dataclass
class AddEntryOptions:
    """`priority`: the lower number wins; -1 where a table has none."""

    priority: int | None = None


@dataclass
class CounterValue:
    bytes: int = 0
    packets: int = 0


@dataclass
class MeterRate:
    units_per_micros: float = 0.0
    burst_size: int = 0


@dataclass
class PortInfo:
    port_num: int = 0
    iface_name: str = ""
    is_up: bool = False
    extra: dict[str, str] = field(default_factory=dict)


@dataclass
class CrcConfig:
    polynomial: int = 0
    initial_remainder: int = 0
    final_xor_value: int = 0
    data_reflected: bool = False
    remainder_reflected: bool = False


@dataclass
class ActionEntry:
    action_type: int = 0
    action_name: str | None = None
    action_data: list[bytes] | None = None
    mbr_handle: int | None = None
    grp_handle: int | None = None


@dataclass
class EntryLife:
    timeout_ms: int = 0
    time_since_hit_ms: int = 0


@dataclass
class MtEntry:
    match_key: list[MatchParam] = field(default_factory=list)
    options: AddEntryOptions = field(default_factory=AddEntryOptions)
    entry_handle: int = 0
    action_entry: ActionEntry = field(default_factory=ActionEntry)
    life: EntryLife | None = None


@dataclass
class Member:
    mbr_handle: int = 0
    action_name: str = ""
    action_data: list[bytes] = field(default_factory=list)


@dataclass
class Group:
    grp_handle: int = 0
    mbr_handles: list[int] = field(default_factory=list)


@dataclass
class SwitchConfig:
    device_id: int = 0
    thrift_port: int = 0
    notifications_socket: str | None = None
    elogger_socket: str | None = None
    debugger_socket: str | None = None


@dataclass
class MirroringSession:
    port: int | None = None
    mgid: int | None = None


_DATA = ListOf(BINARY)
_PARAM = StructOf(
    MatchParam,
    (
        ("type", I32),
        ("exact", StructOf(ExactParam, (("key", BINARY),))),
        ("lpm", StructOf(LpmParam, (("key", BINARY), ("prefix_length", I32)))),
        ("ternary", StructOf(TernaryParam, (("key", BINARY), ("mask", BINARY)))),
        ("valid", StructOf(ValidParam, (("key", BOOL),))),
        ("range", StructOf(RangeParam, (("start", BINARY), ("end_", BINARY)))),
    ),
)
_KEY = ListOf(_PARAM)
_OPTIONS = StructOf(AddEntryOptions, (("priority", I32),))
_COUNTER = StructOf(CounterValue, (("bytes", I64), ("packets", I64)))
_RATES = ListOf(StructOf(MeterRate, (("units_per_micros", DOUBLE), ("burst_size", I32))))
_PORT = StructOf(
    PortInfo, (("port_num", I32), ("iface_name", STRING), ("is_up", BOOL), ("extra", MapOf(STRING, STRING)))
)
_ACTION = StructOf(
    ActionEntry,
    (
        ("action_type", I32),
        ("action_name", STRING),
        ("action_data", _DATA),
        ("mbr_handle", I32),
        ("grp_handle", I32),
    ),
)
_ENTRY = StructOf(
    MtEntry,
    (
        ("match_key", _KEY),
        ("options", _OPTIONS),
        ("entry_handle", I32),
        ("action_entry", _ACTION),
        ("life", StructOf(EntryLife, (("timeout_ms", I32), ("time_since_hit_ms", I32)))),
    ),
)
_MEMBER = StructOf(Member, (("mbr_handle", I32), ("action_name", STRING), ("action_data", _DATA)))
_GROUP = StructOf(Group, (("grp_handle", I32), ("mbr_handles", ListOf(I32))))
_SWITCH = StructOf(
    SwitchConfig,
    (
        ("device_id", I64),
        ("thrift_port", I32),
        ("notifications_socket", STRING),
        ("elogger_socket", STRING),
        ("debugger_socket", STRING),
    ),
)
_MIRRORING = StructOf(MirroringSession, (("port", I32), ("mgid", I32)))


def _crc(number: Type) -> StructOf:
    fields: Fields = (
        ("polynomial", number),
        ("initial_remainder", number),
        ("final_xor_value", number),
        ("data_reflected", BOOL),
        ("remainder_reflected", BOOL),
    )
    return StructOf(CrcConfig, fields)


# -- calls


def _methods(*methods: Method) -> dict[str, Method]:
    return {method.name: method for method in methods}


def _in_context(name: str, error: type[ThriftError], result: Type | None = None, /, **arguments: Type) -> Method:
    """A call whose first argument is the context, of which there is one."""
    return Method(name, (("cxt_id", I32), *arguments.items()), result, error)


def _table(name: str, result: Type | None = None, /, **arguments: Type) -> Method:
    return _in_context(name, InvalidTableOperation, result, table_name=STRING, **arguments)


def _profile(name: str, result: Type | None = None, /, **arguments: Type) -> Method:
    return _in_context(name, InvalidTableOperation, result, act_prof_name=STRING, **arguments)


def _counter(name: str, result: Type | None = None, /, **arguments: Type) -> Method:
    return _in_context(name, InvalidCounterOperation, result, counter_name=STRING, **arguments)


def _meter(name: str, result: Type | None = None, /, **arguments: Type) -> Method:
    return _in_context(name, InvalidMeterOperation, result, meter_array_name=STRING, **arguments)


def _register(name: str, result: Type | None = None, /, **arguments: Type) -> Method:
    return _in_context(name, InvalidRegisterOperation, result, register_array_name=STRING, **arguments)


def _value_set(name: str, result: Type | None = None, /, **arguments: Type) -> Method:
    return _in_context(name, InvalidParseVSetOperation, result, parse_vset_name=STRING, **arguments)


def _learn(name: str, /, **arguments: Type) -> Method:
    return _in_context(name, InvalidLearnOperation, None, list_id=I32, **arguments)


def _mc(name: str, result: Type | None = None, /, **arguments: Type) -> Method:
    return _in_context(name, InvalidMcOperation, result, **arguments)


STANDARD = _methods(
    _table("bm_mt_get_num_entries", I64),
    _table("bm_mt_clear_entries", reset_default_entry=BOOL),
    _table("bm_mt_add_entry", I32, match_key=_KEY, action_name=STRING, action_data=_DATA, options=_OPTIONS),
    _table("bm_mt_set_default_action", action_name=STRING, action_data=_DATA),
    _table("bm_mt_reset_default_entry"),
    _table("bm_mt_delete_entry", entry_handle=I32),
    _table("bm_mt_modify_entry", entry_handle=I32, action_name=STRING, action_data=_DATA),
    _table("bm_mt_set_entry_ttl", entry_handle=I32, timeout_ms=I32),
    _profile("bm_mt_act_prof_add_member", I32, action_name=STRING, action_data=_DATA),
    _profile("bm_mt_act_prof_delete_member", mbr_handle=I32),
    _profile("bm_mt_act_prof_modify_member", mbr_handle=I32, action_name=STRING, action_data=_DATA),
    _profile("bm_mt_act_prof_create_group", I32),
    _profile("bm_mt_act_prof_delete_group", grp_handle=I32),
    _profile("bm_mt_act_prof_add_member_to_group", mbr_handle=I32, grp_handle=I32),
    _profile("bm_mt_act_prof_remove_member_from_group", mbr_handle=I32, grp_handle=I32),
    _profile("bm_mt_act_prof_get_members", ListOf(_MEMBER)),
    _profile("bm_mt_act_prof_get_member", _MEMBER, mbr_handle=I32),
    _profile("bm_mt_act_prof_get_groups", ListOf(_GROUP)),
    _profile("bm_mt_act_prof_get_group", _GROUP, grp_handle=I32),
    _table("bm_mt_indirect_add_entry", I32, match_key=_KEY, mbr_handle=I32, options=_OPTIONS),
    _table("bm_mt_indirect_modify_entry", entry_handle=I32, mbr_handle=I32),
    _table("bm_mt_indirect_delete_entry", entry_handle=I32),
    _table("bm_mt_indirect_set_entry_ttl", entry_handle=I32, timeout_ms=I32),
    _table("bm_mt_indirect_set_default_member", mbr_handle=I32),
    _table("bm_mt_indirect_reset_default_entry"),
    _table("bm_mt_indirect_ws_add_entry", I32, match_key=_KEY, grp_handle=I32, options=_OPTIONS),
    _table("bm_mt_indirect_ws_modify_entry", entry_handle=I32, grp_handle=I32),
    _table("bm_mt_indirect_ws_set_default_group", grp_handle=I32),
    _table("bm_mt_read_counter", _COUNTER, entry_handle=I32),
    _table("bm_mt_reset_counters"),
    _table("bm_mt_write_counter", entry_handle=I32, value=_COUNTER),
    _table("bm_mt_set_meter_rates", entry_handle=I32, rates=_RATES),
    _table("bm_mt_get_meter_rates", _RATES, entry_handle=I32),
    _table("bm_mt_get_entries", ListOf(_ENTRY)),
    _table("bm_mt_get_entry", _ENTRY, entry_handle=I32),
    _table("bm_mt_get_default_entry", _ACTION),
    _table("bm_mt_get_entry_from_key", _ENTRY, match_key=_KEY, options=_OPTIONS),
    _counter("bm_counter_read", _COUNTER, index=I32),
    _counter("bm_counter_reset_all"),
    _counter("bm_counter_write", index=I32, value=_COUNTER),
    _learn("bm_learning_ack", buffer_id=I64, sample_ids=ListOf(I32)),
    _learn("bm_learning_ack_buffer", buffer_id=I64),
    _learn("bm_learning_set_timeout", timeout_ms=I32),
    _learn("bm_learning_set_buffer_size", nb_samples=I32),
    Method("bm_load_new_config", (("config_str", STRING),), None, InvalidSwapOperation),
    Method("bm_swap_configs", (), None, InvalidSwapOperation),
    _meter("bm_meter_array_set_rates", rates=_RATES),
    _meter("bm_meter_set_rates", index=I32, rates=_RATES),
    _meter("bm_meter_get_rates", _RATES, index=I32),
    _register("bm_register_read", I64, index=I32),
    _register("bm_register_read_all", ListOf(I64)),
    _register("bm_register_write", index=I32, value=I64),
    _register("bm_register_write_range", start_index=I32, end_index=I32, value=I64),
    _register("bm_register_reset"),
    _value_set("bm_parse_vset_add", value=BINARY),
    _value_set("bm_parse_vset_remove", value=BINARY),
    _value_set("bm_parse_vset_get", ListOf(BINARY)),
    _value_set("bm_parse_vset_clear"),
    Method(
        "bm_dev_mgr_add_port",
        (("iface_name", STRING), ("port_num", I32), ("pcap_path", STRING)),
        None,
        InvalidDevMgrOperation,
    ),
    Method("bm_dev_mgr_remove_port", (("port_num", I32),), None, InvalidDevMgrOperation),
    Method("bm_dev_mgr_show_ports", (), ListOf(_PORT), InvalidDevMgrOperation),
    Method("bm_mgmt_get_info", (), _SWITCH),
    _in_context("bm_set_crc16_custom_parameters", InvalidCrcOperation, calc_name=STRING, config=_crc(I16)),
    _in_context("bm_set_crc32_custom_parameters", InvalidCrcOperation, calc_name=STRING, config=_crc(I32)),
    _in_context("bm_set_toeplitz_hash_key", InvalidToeplitzHashOperation, calc_name=STRING, key=BINARY),
    Method("bm_reset_state", ()),
    Method("bm_get_config", (), STRING),
    Method("bm_get_config_md5", (), BINARY),
    _in_context("bm_get_id_from_name", InvalidIdLookup, I32, resource_type=I32, resource_name=STRING),
    Method("bm_serialize_state", (), STRING),
)

_REPLICATION = (
    _mc("bm_mc_mgrp_create", I32, mgrp=I32),
    _mc("bm_mc_mgrp_destroy", mgrp_handle=I32),
    _mc("bm_mc_node_associate", mgrp_handle=I32, l1_handle=I32),
    _mc("bm_mc_node_dissociate", mgrp_handle=I32, l1_handle=I32),
    _mc("bm_mc_node_destroy", l1_handle=I32),
    _mc("bm_mc_get_entries", STRING),
)
SIMPLE_PRE = _methods(
    *_REPLICATION,
    _mc("bm_mc_node_create", I32, rid=I32, port_map=STRING),
    _mc("bm_mc_node_update", l1_handle=I32, port_map=STRING),
)
SIMPLE_PRE_LAG = _methods(
    *_REPLICATION,
    _mc("bm_mc_node_create", I32, rid=I32, port_map=STRING, lag_map=STRING),
    _mc("bm_mc_node_update", l1_handle=I32, port_map=STRING, lag_map=STRING),
    _mc("bm_mc_set_lag_membership", lag_index=I16, port_map=STRING),
)


def _mirroring(name: str, result: Type | None = None, /, **arguments: Type) -> Method:
    return Method(name, tuple(arguments.items()), result, InvalidMirroringOperation)


def _target(name: str, result: Type, /, **arguments: Type) -> Method:
    return Method(name, tuple(arguments.items()), result)


SIMPLE_SWITCH = _methods(
    _target("mirroring_mapping_add", I32, mirror_id=I32, egress_port=I32),
    _target("mirroring_mapping_delete", I32, mirror_id=I32),
    _target("mirroring_mapping_get_egress_port", I32, mirror_id=I32),
    _mirroring("mirroring_session_add", mirror_id=I32, config=_MIRRORING),
    _mirroring("mirroring_session_delete", mirror_id=I32),
    _mirroring("mirroring_session_get", _MIRRORING, mirror_id=I32),
    _target("set_egress_priority_queue_depth", I32, port_num=I32, priority=I32, depth_pkts=I32),
    _target("set_egress_queue_depth", I32, port_num=I32, depth_pkts=I32),
    _target("set_all_egress_queue_depths", I32, depth_pkts=I32),
    _target("set_egress_priority_queue_rate", I32, port_num=I32, priority=I32, rate_pps=I64),
    _target("set_egress_queue_rate", I32, port_num=I32, rate_pps=I64),
    _target("set_all_egress_queue_rates", I32, rate_pps=I64),
    _target("get_time_elapsed_us", I64),
    _target("get_time_since_epoch_us", I64),
)

SERVICES: dict[str, dict[str, Method]] = {
    "standard": STANDARD,
    "simple_pre": SIMPLE_PRE,
    "simple_pre_lag": SIMPLE_PRE_LAG,
    "simple_switch": SIMPLE_SWITCH,
}
