"""Kinds of entities that the data plane behind this service does not have (yet)."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.message import Message

from p4base.messages import p4r
from p4switch.service.entity import Emit, ReadScope
from p4switch.service.errors import Code, P4Error


class AbsentHandler:
    """A kind that cannot be written. None is ever installed, so that a read finds none: clients that clear or dump a
    whole device ask for every kind."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def p4_id(self, message: Message) -> int:
        return 0

    def write(self, kind: int, message: Message) -> None:
        raise P4Error(Code.UNIMPLEMENTED, f"this data plane does not support {self._kind}")

    def read(self, message: Message, scope: ReadScope, emit: Emit) -> None:
        pass

    def snapshot(self, message: Message) -> Iterable[p4r.Entity]:
        return []
