"""P4Runtime's bytes in and out of the native tables (runtime/wire.c)."""

from __future__ import annotations

import ctypes as c
from collections.abc import Callable, Sequence

from p4switch.dataplane import DataplaneError, Status, WireAction, WireHeader, WireQuery, WireTable, WireValue
from p4switch.native.objects import TableInfo
from p4switch.native.resources import Loaded, Resources

CHUNK_BYTES = 1 << 20
"""A ReadResponse is closed once it is this long; well below the 4 MB that a client takes unless told otherwise."""

_MAX_FIELDS = 63
"""Fields of a key, or parameters of an action, that the runtime keeps account of."""

_OTHER, _INSERT = 0, 1


class _Value(c.Structure):
    _fields_ = tuple((name, c.c_uint32) for name in ("id", "kind", "width", "offset", "size"))


class _Action(c.Structure):
    _fields_ = (
        ("id", c.c_uint32),
        ("number", c.c_uint32),
        ("in_entries", c.c_uint32),
        ("param_count", c.c_uint32),
        ("params", c.POINTER(_Value)),
    )


class _Table(c.Structure):
    _fields_ = (
        ("id", c.c_uint32),
        ("number", c.c_uint32),
        ("writable", c.c_uint32),
        ("constant", c.c_uint32),
        ("prioritised", c.c_uint32),
        ("field_count", c.c_uint32),
        ("action_count", c.c_uint32),
        ("fields", c.POINTER(_Value)),
        ("actions", c.POINTER(_Action)),
    )


class _Plan(c.Structure):
    _fields_ = (
        ("table_count", c.c_uint32),
        ("max_key", c.c_uint32),
        ("max_args", c.c_uint32),
        ("tables", c.POINTER(_Table)),
    )


class _Header(c.Structure):
    _fields_ = (
        ("device_id", c.c_uint64),
        ("election_high", c.c_uint64),
        ("election_low", c.c_uint64),
        ("role_offset", c.c_uint64),
        ("role_length", c.c_uint64),
        ("update_count", c.c_uint64),
        ("has_election", c.c_uint32),
        ("atomicity", c.c_uint32),
    )


class _Update(c.Structure):
    _fields_ = (("offset", c.c_uint64), ("length", c.c_uint32), ("mark", c.c_uint32))


class _Query(c.Structure):
    _fields_ = (
        ("priority", c.c_int32),
        ("action", c.c_int64),
        ("counter", c.c_uint32),
        ("meter", c.c_uint32),
        ("colours", c.c_uint32),
        ("last_hit", c.c_uint32),
        ("chunk", c.c_uint64),
    )


class _Chunk(c.Structure):
    _fields_ = (("data", c.c_void_p), ("size", c.c_uint64))


_SW = _PIPE = c.c_void_p
_PLAN = c.POINTER(_Plan)
_UPDATES = c.POINTER(_Update)
_CHUNKS = c.POINTER(_Chunk)

PROTOTYPES: dict[str, tuple[object, tuple[object, ...]]] = {
    "kv_wire_scan": (c.c_int, (c.c_char_p, c.c_uint64, c.POINTER(_Header))),
    "kv_wire_sort": (c.c_int64, (_PIPE, _PLAN, c.c_char_p, c.c_uint64, _UPDATES)),
    "kv_wire_apply": (c.c_uint64, (_SW, _PIPE, _PLAN, c.c_char_p, _UPDATES, c.c_uint64, c.c_uint64)),
    "kv_wire_undo": (None, (_SW, _PIPE, _PLAN, c.c_char_p, _UPDATES, c.c_uint64)),
    "kv_wire_read": (
        c.c_int,
        (_SW, _PIPE, c.POINTER(_Table), c.POINTER(_Query), c.POINTER(_CHUNKS), c.POINTER(c.c_uint32)),
    ),
    "kv_wire_release": (None, (_CHUNKS, c.c_uint32)),
}


class Wire(Resources):
    """The part of `NativeDataplane` that this module is about."""

    def wire_header(self, request: bytes) -> WireHeader | None:
        header = _scan(self._lib, request)
        if header is None:
            return None
        return WireHeader(
            device_id=header.device_id,
            role=request[header.role_offset : header.role_offset + header.role_length],
            election_id=header.election_high << 64 | header.election_low if header.has_election else None,
            atomicity=header.atomicity,
            updates=header.update_count,
        )

    def wire_codec(self, tables: Sequence[WireTable]) -> Codec:
        with self._lock:
            loaded = self._pipeline()
        return Codec(self, loaded, tables)


def _scan(library: c.CDLL, request: bytes) -> _Header | None:
    header = _Header()
    return header if library.kv_wire_scan(request, len(request), c.byref(header)) else None


class Codec:
    """See `p4switch.dataplane.WireCodec`."""

    def __init__(self, dataplane: Wire, loaded: Loaded, tables: Sequence[WireTable]) -> None:
        self._dataplane = dataplane
        self._loaded = loaded
        rows = []
        self._infos = loaded.objects.tables
        for table in sorted(tables, key=lambda item: item.id):
            rows.append(_table(table, self._infos[table.name]))
        self._tables = (_Table * max(1, len(rows)))(*rows)
        self._by_name = {table.name: i for i, table in enumerate(sorted(tables, key=lambda item: item.id))}
        self._plan = _Plan(
            len(rows),
            max((self._infos[table.name].key_bytes for table in tables), default=0),
            max((self._infos[table.name].max_arg_bytes for table in tables), default=0),
            self._tables,
        )

    def batch(self, request: bytes) -> Batch:
        return Batch(self, request)

    def read(self, table: str, query: WireQuery) -> Sequence[bytes] | None:
        if table not in self._by_name:
            return None
        info = self._infos[table]
        chunks, count = _CHUNKS(), c.c_uint32()
        wanted = _Query(
            query.priority,
            -1 if query.action is None else info.actions[query.action],
            query.counter,
            query.meter,
            query.colours,
            query.last_hit,
            CHUNK_BYTES,
        )
        written = self.call(
            lambda library, sw, pipeline: library.kv_wire_read(
                sw,
                pipeline,
                c.byref(self._tables[self._by_name[table]]),
                c.byref(wanted),
                c.byref(chunks),
                c.byref(count),
            )
        )
        if not written:
            return None
        try:
            return [c.string_at(chunks[i].data, chunks[i].size) for i in range(count.value)]
        finally:
            self._dataplane._lib.kv_wire_release(chunks, count)

    def call(self, function: Callable[[c.CDLL, int, int], int]) -> int:
        """Call into the runtime with the pipeline that this codec was made for.

        Raises:
            DataplaneError: another one has been loaded.
        """
        with self._dataplane._lock:
            if self._dataplane._pipeline() is not self._loaded:
                raise DataplaneError(Status.FAILED_PRECONDITION, "another pipeline has been loaded")
            return function(self._dataplane._lib, self._dataplane._sw, self._loaded.pointer)

    @property
    def plan(self) -> _Plan:
        return self._plan


class Batch:
    """See `p4switch.dataplane.WireBatch`."""

    def __init__(self, codec: Codec, request: bytes) -> None:
        self._codec = codec
        self._request = request
        header = codec.call(lambda library, _, __: _count(library, request))
        self._count = header
        self._updates = (_Update * max(1, self._count))()
        others = codec.call(
            lambda library, _, pipeline: library.kv_wire_sort(
                pipeline, c.byref(codec.plan), request, len(request), self._updates
            )
        )
        if others < 0:
            raise DataplaneError(Status.RESOURCE_EXHAUSTED, "not enough memory for the request")
        self.others = [i for i in range(self._count) if self._updates[i].mark == _OTHER] if others else []

    @property
    def only_inserts(self) -> bool:
        return all(self._updates[i].mark == _INSERT for i in range(self._count))

    def __len__(self) -> int:
        return self._count

    def update(self, index: int) -> bytes:
        place = self._updates[index]
        return self._request[place.offset : place.offset + place.length]

    def apply(self, first: int) -> int:
        return self._codec.call(
            lambda library, sw, pipeline: library.kv_wire_apply(
                sw, pipeline, c.byref(self._codec.plan), self._request, self._updates, first, self._count
            )
        )

    def undo(self, count: int) -> None:
        self._codec.call(
            lambda library, sw, pipeline: (
                library.kv_wire_undo(sw, pipeline, c.byref(self._codec.plan), self._request, self._updates, count) or 0
            )
        )


def _count(library: c.CDLL, request: bytes) -> int:
    header = _scan(library, request)
    return 0 if header is None else header.update_count


def _values(values: Sequence[WireValue]) -> c.Array[_Value]:
    rows = [_Value(value.id, value.kind, value.bitwidth, value.offset, value.size) for value in values]
    return (_Value * max(1, len(rows)))(*rows)


def _table(table: WireTable, info: TableInfo) -> _Table:
    known = [action for action in table.actions if action.name in info.actions]
    rows = [_action(action, info) for action in known]
    writable = table.writable and len(table.fields) <= _MAX_FIELDS and table.prioritised == info.prioritised
    return _Table(
        table.id,
        info.number,
        writable,
        table.constant,
        table.prioritised,
        len(table.fields),
        len(rows),
        _values(table.fields),
        (_Action * max(1, len(rows)))(*rows),
    )


def _action(action: WireAction, info: TableInfo) -> _Action:
    in_entries = action.in_entries and len(action.params) <= _MAX_FIELDS
    return _Action(action.id, info.actions[action.name], in_entries, len(action.params), _values(action.params))
