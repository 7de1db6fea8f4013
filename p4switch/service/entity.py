"""What the handler of one kind of P4Runtime entity has to offer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

import msgspec

from p4base.messages import p4r
from p4switch.service import wire
from p4switch.service.roles import RoleConfig

INSERT = int(p4r.Update.INSERT)
MODIFY = int(p4r.Update.MODIFY)
DELETE = int(p4r.Update.DELETE)

# Field numbers of p4.v1.Entity.
TABLE_ENTRY = 2
ACTION_PROFILE_MEMBER = 3
ACTION_PROFILE_GROUP = 4
METER_ENTRY = 5
DIRECT_METER_ENTRY = 6
COUNTER_ENTRY = 7
DIRECT_COUNTER_ENTRY = 8
VALUE_SET_ENTRY = 10
REGISTER_ENTRY = 11
DIGEST_ENTRY = 12

_RESPONSE_ENTITIES = wire.tag(1, wire.BYTES)

Emit = Callable[[bytes], None]
"""Takes one answer: an `entities` element of a ReadResponse, on the wire."""


def answer(entity_number: int) -> Callable[[bytes], bytes]:
    """A function that makes a serialised entity an `entities` element of a ReadResponse.

    Args:
        entity_number: the entity's field number in `p4.v1.Entity`.
    """
    head = wire.tag(entity_number, wire.BYTES)
    varint = wire.varint

    def wrap(body: bytes) -> bytes:
        inner = head + varint(len(body))
        return _RESPONSE_ENTITIES + varint(len(inner) + len(body)) + inner + body

    return wrap


class ReadScope(msgspec.Struct, frozen=True):
    """Which objects a read may return."""

    role: RoleConfig | None = None

    def check(self, p4_id: int, name: str) -> None:
        """Raise PERMISSION_DENIED if the object, asked for by id, is outside the client's role."""
        if self.role is not None:
            self.role.check_access(p4_id, name)

    def sees(self, p4_id: int) -> bool:
        """Whether a wildcard read includes the object."""
        return self.role is None or p4_id in self.role.p4_ids


M_contra = TypeVar("M_contra", contravariant=True)


class EntityHandler(Protocol[M_contra]):
    """Reads and writes one kind of entity (a message such as `p4r.TableEntry`)."""

    def p4_id(self, message: M_contra) -> int:
        """The P4Info id that access to the entity is decided by."""

    def write(self, kind: int, message: M_contra) -> None:
        """Carry out one update (INSERT, MODIFY or DELETE) wholly, or raise P4Error or DataplaneError and change nothing."""

    def read(self, message: M_contra, scope: ReadScope, emit: Emit) -> None:
        """Emit every entity that `message` selects."""

    def snapshot(self, message: M_contra) -> Iterable[p4r.Entity]:
        """What is installed under `message`'s key now, such that writing it again restores it; nothing if absent."""
