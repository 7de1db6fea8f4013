"""Externs that are not part of the architecture (specification, "ExternEntry"): there are none."""

from __future__ import annotations

from collections.abc import Iterable

from p4base.messages import p4r
from p4switch.service.entity import Emit, ReadScope
from p4switch.service.errors import Code, P4Error


class ExternHandler:
    """`ExternEntry`. A read of all externs finds nothing; whatever names one is UNIMPLEMENTED."""

    def p4_id(self, message: p4r.ExternEntry) -> int:
        return message.extern_id

    def write(self, kind: int, message: p4r.ExternEntry) -> None:
        raise self._unknown(message)

    def read(self, message: p4r.ExternEntry, scope: ReadScope, emit: Emit) -> None:
        if message.extern_type_id or message.extern_id:
            raise self._unknown(message)

    def snapshot(self, message: p4r.ExternEntry) -> Iterable[p4r.Entity]:
        return []

    @staticmethod
    def _unknown(message: p4r.ExternEntry) -> P4Error:
        return P4Error(
            Code.UNIMPLEMENTED,
            f"this device has no externs of its own, and none of type 0x{message.extern_type_id:08x}",
        )
