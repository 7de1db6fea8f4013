"""Reading large registers, of which P4Runtime has nothing but "this cell" and "all cells" (specification, "RegisterEntry").

All cells of a million come to some 20 MB, most of them 0. Those are passed over by a regular expression, in C, without being taken apart:
it matches whole entities of value 0 one after the other, from the start of one, so it cannot take part of another for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from google.protobuf.message import DecodeError

from controlplane.p4rt import wire
from kulvert.failures import UserError
from kulvert.inspection.switch import Switch
from p4base.messages import p4d, p4i, p4r

_BATCH = 2000
"""Cells asked for one by one in a request."""

_ALL_CELLS_SHARE = 16
"""From one cell in so many, all of them are read at once."""


class Register:
    """A register of bit<W> cells."""

    def __init__(self, switch: Switch, name: str) -> None:
        """Raises UserError: the pipeline has no such register."""
        found = switch.index.registers.get(name)
        if found is None:
            raise UserError(f"the pipeline has no register {name!r}: it tracks no connections this way")
        self._switch = switch
        self._id = found.preamble.id
        self._mask = (1 << found.type_spec.bitstring.bit.bitwidth) - 1
        self._zeros = re.compile(_zero_cells(found), re.DOTALL)
        self.size = found.size

    def occupied(self) -> Iterator[tuple[int, int]]:
        """Index and value of every cell that is not 0. Raises UserError."""
        for response in self._switch.read_responses(self._request(None)):
            at = 0
            while at < len(response):
                run = self._zeros.match(response, at)
                at = run.end() if run else at
                if at < len(response):
                    try:
                        data, at = _element(response, at)
                        index, value = self._cell(p4r.Entity.FromString(data))
                    except (wire.WireError, DecodeError):
                        raise UserError("the switch answers a Read with what is no ReadResponse") from None
                    if value:
                        yield index, value

    def cells(self, indices: Sequence[int]) -> dict[int, int]:
        """The values of these cells; one that is missing is 0. Raises UserError."""
        if len(indices) * _ALL_CELLS_SHARE >= self.size:
            wanted = set(indices)
            return {index: value for index, value in self.occupied() if index in wanted}
        found: dict[int, int] = {}
        for start in range(0, len(indices), _BATCH):
            requests = [self._request(index) for index in indices[start : start + _BATCH]]
            found.update(self._cell(entity) for entity in self._switch.read(*requests))
        return found

    def _request(self, index: int | None) -> p4r.Entity:
        entity = p4r.Entity()
        entity.register_entry.register_id = self._id
        if index is not None:
            entity.register_entry.index.index = index
        return entity

    def _cell(self, entity: p4r.Entity) -> tuple[int, int]:
        cell = entity.register_entry
        return cell.index.index, int.from_bytes(cell.data.bitstring, "big") & self._mask


def _element(message: bytes, at: int) -> tuple[bytes, int]:
    """The value of the length-delimited field that begins at an offset, and the offset after it."""
    _, start = wire.read_varint(message, at)
    length, start = wire.read_varint(message, start)
    return message[start : start + length], start + length


def _zero_cells(register: p4i.Register) -> bytes:
    """A regular expression for a run of whole ReadResponse elements that are cells of this register with the value 0."""

    def tag(message: type[object], field: str) -> bytes:
        return re.escape(wire.tag(message.DESCRIPTOR, field, wire.DELIMITED))  # type: ignore[attr-defined]

    number = rb"[\x80-\xff]*[\x00-\x7f]"
    register_id = wire.tag(p4r.RegisterEntry.DESCRIPTOR, "register_id", wire.VARINT) + wire.varint(register.preamble.id)
    index = wire.tag(p4r.Index.DESCRIPTOR, "index", wire.VARINT)
    return (
        rb"(?:" + tag(p4r.ReadResponse, "entities") + number + tag(p4r.Entity, "register_entry") + number
        + re.escape(register_id)
        + tag(p4r.RegisterEntry, "index") + rb"[\x00-\x0b](?:" + re.escape(index) + number + rb")?"
        + tag(p4r.RegisterEntry, "data") + rb"\x03" + tag(p4d.P4Data, "bitstring") + rb"\x01\x00)+"
    )  # fmt: skip
