"""The messages of simple_switch_grpc's `p4.bm.DataplaneInterface`: packets of any port over a gRPC stream, and ports set up and down.

They are put together here, from names and numbers, because no package carries them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "p4.bm.DataplaneInterface"

UNKNOWN, DOWN, UP = range(3)
"""`p4.bm.PortOperStatus`."""

_Field = descriptor_pb2.FieldDescriptorProto
_PACKET = (("id", _Field.TYPE_UINT64), ("device_id", _Field.TYPE_UINT64), ("port", _Field.TYPE_UINT32))


def _describe() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="p4/bm/dataplane_interface.proto", package="p4.bm", syntax="proto3")
    status = file.enum_type.add(name="PortOperStatus")
    for number, name in enumerate(("UNKNOWN", "DOWN", "UP")):
        status.value.add(name=f"OPER_STATUS_{name}", number=number)

    def message(name: str, fields: Sequence[tuple[str, _Field.Type.ValueType]]) -> None:
        added = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields, 1):
            new = added.field.add(name=field, number=number, type=kind, label=_Field.LABEL_OPTIONAL)
            if kind == _Field.TYPE_ENUM:
                new.type_name = ".p4.bm.PortOperStatus"

    for name in ("PacketStreamRequest", "PacketStreamResponse"):
        message(name, (*_PACKET, ("packet", _Field.TYPE_BYTES)))
    message("SetPortOperStatusRequest", (*_PACKET[1:], ("oper_status", _Field.TYPE_ENUM)))
    message("SetPortOperStatusResponse", ())
    return file


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_describe())


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"p4.bm.{name}"))


PacketStreamRequest = _message("PacketStreamRequest")
"""`id` (reflected in what comes of the packet), `device_id`, `port`, `packet`."""

PacketStreamResponse = _message("PacketStreamResponse")
"""The same fields: a packet that leaves by `port`."""

SetPortOperStatusRequest = _message("SetPortOperStatusRequest")
"""`device_id`, `port`, `oper_status`."""

SetPortOperStatusResponse = _message("SetPortOperStatusResponse")
