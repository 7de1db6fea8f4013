"""A register's cells as `p4.v1.RegisterEntry` answers. Most of a large register is 0, and that is said in long strides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from p4switch.service import wire

_STRIDE = 128
"""Cells whose indices differ in the lowest seven bits, which are one byte of a varint."""


def cells_to_wire(
    register_id: int,
    first: int,
    cells: Sequence[int],
    to_wire: Callable[[int], bytes],
    answer: Callable[[bytes], bytes],
) -> Iterator[bytes]:
    """Every cell in order, from index `first`, as elements of a ReadResponse, several in one piece.

    Args:
        to_wire: the P4Data message of a cell.
        answer: makes an `entities` element of a RegisterEntry.
    """
    head = wire.varint_field(1, register_id)
    zero = wire.bytes_field(3, to_wire(0))

    def one(index: int, data: bytes) -> bytes:
        return answer(head + wire.bytes_field(2, wire.varint_field(1, index)) + data)

    at, end = 0, len(cells)
    while at < end:
        index = first + at
        if index >= _STRIDE and index % _STRIDE == 0 and at + _STRIDE <= end and not any(cells[at : at + _STRIDE]):
            high = wire.varint(index >> 7)
            yield _zeros(one(index, zero), high + zero)
            at += _STRIDE
            continue
        cell = cells[at]
        yield one(index, wire.bytes_field(3, to_wire(cell)) if cell else zero)
        at += 1


def _zeros(first: bytes, tail: bytes) -> bytes:
    """A stride of equal cells, of which `first` is the first one's bytes; they are alike but for the byte before `tail`."""
    start = first[: -len(tail) - 1]
    return tail.join([start + bytes([128 | low]) for low in range(_STRIDE)]) + tail
