"""What a role may do: the role configuration of `MasterArbitrationUpdate.role.config`.

The specification leaves its format open; this switch takes Stratum's `P4RoleConfig`, the only one in use. A role without a
configuration has full access ("Role Config").
"""

from __future__ import annotations

import msgspec
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError

from p4base.messages import p4r, stratum
from p4switch.service.errors import Code, P4Error, invalid


class RoleConfig(msgspec.Struct, frozen=True):
    """Stratum's P4RoleConfig, as sets.

    Attributes:
        p4_ids: the P4Info ids that the role may write and read.
        packet_in_filter: (metadata id, canonical value) that a packet-in must carry; None for every packet-in.
    """

    p4_ids: frozenset[int]
    receives_packet_ins: bool
    can_push_pipeline: bool
    packet_in_filter: tuple[int, bytes] | None

    def check_access(self, p4_id: int, name: str) -> None:
        """Raise PERMISSION_DENIED unless the object is within the role."""
        if p4_id not in self.p4_ids:
            raise P4Error(Code.PERMISSION_DENIED, f"{name} is not among the objects of this client's role")

    def admits_packet_in(self, packet: p4r.PacketIn) -> bool:
        """Whether the role's primary is to see `packet`."""
        if not self.receives_packet_ins:
            return False
        if self.packet_in_filter is None:
            return True
        metadata_id, value = self.packet_in_filter
        return any(m.metadata_id == metadata_id and m.value == value for m in packet.metadata)


def parse_role_config(message: any_pb2.Any) -> RoleConfig:
    """Read a role configuration.

    Raises:
        P4Error: INVALID_ARGUMENT; it is not a P4RoleConfig.
    """
    config = stratum.P4RoleConfig()
    if not message.Is(config.DESCRIPTOR):
        raise invalid(
            f"role.config is of type {message.TypeName() or '(none)'}, expected {config.DESCRIPTOR.full_name}"
        )
    try:
        message.Unpack(config)
    except DecodeError:
        raise invalid(f"role.config is not a valid {config.DESCRIPTOR.full_name}") from None
    packet_filter = config.packet_in_filter
    return RoleConfig(
        p4_ids=frozenset(config.exclusive_p4_ids) | frozenset(config.shared_p4_ids),
        receives_packet_ins=config.receives_packet_ins,
        can_push_pipeline=config.can_push_pipeline,
        packet_in_filter=(packet_filter.metadata_id, packet_filter.value) if packet_filter.metadata_id else None,
    )
