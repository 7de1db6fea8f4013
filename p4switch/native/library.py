"""ctypes declarations of the runtime library and of a compiled pipeline. Names are those of the C side (kulvert.h)."""

from __future__ import annotations

import ctypes as c
from collections.abc import Iterator, Mapping
from pathlib import Path

from p4switch.dataplane import DataplaneError, Status
from p4switch.native.compiler import RUNTIME, Build, build

RUNTIME_BUILD = Build("runtime", sorted(RUNTIME.glob("*.c")))

U8P = c.POINTER(c.c_uint8)


class ActionSpec(c.Structure):
    _fields_ = (
        ("name", c.c_char_p),
        ("param_count", c.c_uint16),
        ("arg_bytes", c.c_uint16),
        ("arg_limbs", c.c_uint16),
        ("params", c.c_void_p),
    )


class MeterConfigStruct(c.Structure):
    _fields_ = (
        ("marker", c.c_uint32),
        ("per_microsecond", c.c_double * 2),
        ("burst", c.c_uint64 * 2),
        ("written", c.c_int64 * 5),
    )


class CounterStruct(c.Structure):
    _fields_ = (("packets", c.c_uint64), ("bytes", c.c_uint64))


class MeterStateStruct(c.Structure):
    _fields_ = (("configured", c.c_uint64), ("written", c.c_int64 * 5), ("marked", CounterStruct * 3))


class Target(c.Structure):
    _fields_ = (
        ("kind", c.c_uint32),
        ("id", c.c_uint32),
        ("args", c.c_char_p),
        ("note", c.c_char_p),
        ("note_length", c.c_uint32),
        ("idle_timeout_ns", c.c_int64),
        ("counter", c.POINTER(CounterStruct)),
        ("meter", c.POINTER(MeterConfigStruct)),
        ("now_us", c.c_uint64),
    )


class ValueSetFieldStruct(c.Structure):
    _fields_ = (("bytes", c.c_uint16), ("range", c.c_uint16))


class GroupMemberStruct(c.Structure):
    _fields_ = (("member_id", c.c_uint32), ("weight", c.c_uint32), ("watch_port", c.c_int32))


class PortStatsStruct(c.Structure):
    _fields_ = tuple(
        (name, c.c_uint64) for name in ("rx_packets", "rx_bytes", "tx_packets", "tx_bytes", "rx_dropped", "tx_dropped")
    )


class ReplicaStruct(c.Structure):
    _fields_ = (("port", c.c_uint32), ("instance", c.c_uint32))


class KeptArrayStruct(c.Structure):
    _fields_ = (("kind", c.c_uint32), ("from_", c.c_uint32), ("to", c.c_uint32))


class BackedReplicaStruct(c.Structure):
    _fields_ = (("replica", ReplicaStruct), ("backup", c.c_uint32))


LogFunction = c.CFUNCTYPE(None, c.c_char_p)

_SW = c.c_void_p
_PIPE = c.c_void_p
_U32 = c.c_uint32
_U64 = c.c_uint64
_I32 = c.c_int32
_INT = c.c_int
_STR = c.c_char_p
_OUT = (c.POINTER(U8P), c.POINTER(c.c_uint64))
_METER = c.POINTER(MeterConfigStruct)
_KEY = (_STR, _STR, _I32)

_PROTOTYPES: dict[str, tuple[object, tuple[object, ...]]] = {
    "kv_switch_new": (_SW, (_U32, _U32, _U64, _U32)),
    "kv_switch_set_log": (None, (_SW, LogFunction)),
    "kv_switch_elapsed_us": (_U64, (_SW,)),
    "kv_switch_stop": (None, (_SW,)),
    "kv_switch_free": (None, (_SW,)),
    "kv_switch_commit": (_INT, (_SW, _PIPE, c.POINTER(KeptArrayStruct), _U32)),
    "kv_switch_release": (None, (c.c_void_p,)),
    "kv_pipeline_new": (_PIPE, (c.c_void_p, _U64)),
    "kv_pipeline_free": (None, (_PIPE,)),
    "kv_pipeline_check": (_STR, (c.c_void_p,)),
    "kv_switch_insert": (_INT, (_SW, _PIPE, _U32, _STR, _STR, _I32, c.POINTER(Target))),
    "kv_switch_modify": (_INT, (_SW, _PIPE, _U32, _STR, _STR, _I32, c.POINTER(Target))),
    "kv_switch_delete": (_INT, (_SW, _PIPE, _U32, _STR, _STR, _I32)),
    "kv_switch_set_default": (_INT, (_SW, _PIPE, _U32, c.POINTER(Target), _INT)),
    "kv_switch_seal": (None, (_PIPE, _U32, _INT, _INT)),
    "kv_switch_member": (_INT, (_SW, _PIPE, _U32, _U32, _U32, _STR, _INT)),
    "kv_switch_delete_member": (_INT, (_SW, _PIPE, _U32, _U32)),
    "kv_switch_group": (_INT, (_SW, _PIPE, _U32, _U32, c.POINTER(GroupMemberStruct), _U32, _INT)),
    "kv_switch_delete_group": (_INT, (_SW, _PIPE, _U32, _U32)),
    "kv_switch_read_table": (_INT, (_SW, _PIPE, _U32, *_OUT)),
    "kv_switch_read_entry": (_INT, (_SW, _PIPE, _U32, _STR, _STR, _I32, *_OUT)),
    "kv_switch_read_default": (_INT, (_SW, _PIPE, _U32, c.POINTER(_U32), c.POINTER(_U32), _STR)),
    "kv_switch_read_members": (_INT, (_SW, _PIPE, _U32, *_OUT)),
    "kv_switch_read_groups": (_INT, (_SW, _PIPE, _U32, *_OUT)),
    "kv_switch_write_direct_counter": (_INT, (_SW, _PIPE, _U32, _STR, _STR, _I32, _U64, _U64)),
    "kv_switch_read_registers": (None, (_SW, _PIPE, _U32, _U32, _U32, _STR)),
    "kv_switch_write_registers": (None, (_SW, _PIPE, _U32, _U32, _U32, _STR)),
    "kv_switch_read_counters": (None, (_SW, _PIPE, _U32, _U32, _U32, c.POINTER(CounterStruct))),
    "kv_switch_write_counters": (None, (_SW, _PIPE, _U32, _U32, _U32, _U64, _U64)),
    "kv_switch_write_meters": (None, (_SW, _PIPE, _U32, _U32, _U32, _METER)),
    "kv_switch_clear_meters": (None, (_SW, _PIPE, _U32, _U32, _U32)),
    "kv_switch_read_meters": (None, (_SW, _PIPE, _U32, _U32, _U32, c.POINTER(MeterStateStruct))),
    "kv_switch_write_direct_meter": (_INT, (_SW, _PIPE, _U32, *_KEY, _METER)),
    "kv_switch_clear_direct_meter": (_INT, (_SW, _PIPE, _U32, *_KEY)),
    "kv_switch_read_idle": (_INT, (_SW, _PIPE, _U32, c.POINTER(_U64), *_OUT)),
    "kv_switch_write_value_set": (_INT, (_SW, _PIPE, _U32, _STR, _U32, c.POINTER(ValueSetFieldStruct), _U32)),
    "kv_switch_configure_digest": (None, (_SW, _PIPE, _U32, _INT, _U32, _U64, _U64)),
    "kv_switch_acknowledge_digest": (_INT, (_SW, _PIPE, _U32, _U64)),
    "kv_switch_multicast": (_INT, (_SW, _U32, c.POINTER(BackedReplicaStruct), _U32)),
    "kv_switch_freeze": (None, (_SW,)),
    "kv_switch_thaw": (None, (_SW,)),
    "kv_switch_clone_session": (_INT, (_SW, _U32, c.POINTER(ReplicaStruct), _U32, _U32, _U32)),
    "kv_switch_inject": (_INT, (_SW, _U32, _STR, _U32, *_OUT)),
    "kv_switch_bench": (_U64, (_SW, _U32, _STR, c.POINTER(_U32), c.POINTER(_U32), _U32, _U64, c.POINTER(_U64))),
    "kv_switch_mutate": (_U64, (_SW, _STR, c.POINTER(_U32), _U32, _U64, _U64)),
    "kv_switch_next_packet_in": (_INT, (_SW, _U32, c.POINTER(U8P), c.POINTER(_U32))),
    "kv_switch_next_digest": (
        _INT,
        (_SW, _U32, c.POINTER(_U32), c.POINTER(_U64), c.POINTER(_U64), c.POINTER(_U32), *_OUT),
    ),
    "kv_switch_set_crc": (None, (_SW, _PIPE, _U32, _U64, _U64, _U64, _INT, _INT)),
    "kv_switch_set_toeplitz": (_INT, (_SW, _PIPE, _U32, _STR, _U32)),
    "kv_switch_tap": (None, (_SW, _INT)),
    "kv_switch_next_tap": (_INT, (_SW, _U32, c.POINTER(_U32), c.POINTER(U8P), c.POINTER(_U32))),
    "kv_switch_next_trace": (_INT, (_SW, _U32, c.POINTER(U8P), c.POINTER(_U32))),
    "kv_switch_table_entries": (_U32, (_SW, _PIPE, _U32)),
    "kv_switch_profile_counts": (None, (_SW, _PIPE, _U32, c.POINTER(_U32), c.POINTER(_U32))),
    "kv_switch_queues": (None, (_SW, _U32)),
    "kv_switch_set_queue": (_INT, (_SW, _I32, _I32, _INT, _U64)),
    "kv_switch_drops": (None, (_SW, c.POINTER(_U64))),
    "kv_switch_attach": (_INT, (_SW, _U32)),
    "kv_switch_detach": (_INT, (_SW, _U32)),
    "kv_switch_attach_all": (None, (_SW,)),
    "kv_switch_set_outside_up": (_INT, (_SW, _U32, _INT)),
    "kv_switch_receive": (_INT, (_SW, _U32, _U64, _STR, _U32)),
    "kv_switch_settle": (_INT, (_SW, _U32, c.POINTER(_U64))),
    "kv_switch_next_outside": (
        _INT,
        (_SW, _U32, c.POINTER(_U32), c.POINTER(_U64), c.POINTER(U8P), c.POINTER(_U32)),
    ),
    "kv_switch_add_port": (_INT, (_SW, _U32, _STR)),
    "kv_switch_remove_port": (_INT, (_SW, _U32)),
    "kv_switch_port": (_INT, (_SW, _U32, c.POINTER(_U32), _STR, c.POINTER(_U32), c.POINTER(PortStatsStruct))),
}


def open_object(path: Path) -> c.CDLL:
    try:
        return c.CDLL(str(path))
    except OSError as error:
        raise DataplaneError(Status.FAILED_PRECONDITION, f"cannot load {path}: {error}") from None


def load_runtime(more: Mapping[str, tuple[object, tuple[object, ...]]]) -> c.CDLL:
    """The runtime library, compiled if it is not in the cache.

    Args:
        more: result and arguments of functions beside those of this module.
    """
    library = open_object(build(RUNTIME_BUILD))
    for name, (result, arguments) in (_PROTOTYPES | dict(more)).items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


def take(library: c.CDLL, data: object, size: int) -> bytes:
    """The bytes of a record buffer, which is given back to C."""
    content = c.string_at(data, size) if size else b""  # type: ignore[arg-type]
    library.kv_switch_release(data)
    return content


def frames(records: bytes) -> Iterator[tuple[int, bytes]]:
    """(port, frame) pairs as `kv_switch_inject` packs them."""
    at = 0
    while at < len(records):
        port = int.from_bytes(records[at : at + 4], "little")
        length = int.from_bytes(records[at + 4 : at + 8], "little")
        yield port, records[at + 8 : at + 8 + length]
        at += 8 + length
