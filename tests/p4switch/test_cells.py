"""A register's cells on the wire are those that protobuf would write, however many of them are 0."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from p4base import bytestring
from p4base.messages import p4d, p4r
from p4switch.service.cells import cells_to_wire
from p4switch.service.entity import REGISTER_ENTRY, answer

REGISTER_ID = 0x16000001


def to_wire(cell: int) -> bytes:
    return p4d.P4Data(bitstring=bytestring.encode(cell)).SerializeToString()


@given(
    st.integers(0, 70_000),
    st.integers(0, 700),
    st.dictionaries(st.integers(0, 699), st.one_of(st.integers(0, 3), st.integers(0, (1 << 64) - 1)), max_size=5),
)
def test_cells_are_what_protobuf_writes(first: int, count: int, values: dict[int, int]) -> None:
    cells = [values.get(number, 0) for number in range(count)]
    parts = list(cells_to_wire(REGISTER_ID, first, cells, to_wire, answer(REGISTER_ENTRY)))
    wanted = p4r.ReadResponse()
    for number, cell in enumerate(cells):
        entry = wanted.entities.add().register_entry
        entry.register_id = REGISTER_ID
        entry.index.index = first + number
        entry.data.bitstring = bytestring.encode(cell)
    assert b"".join(parts) == wanted.SerializeToString()


def test_zeros_go_in_strides() -> None:
    cells = [0] * 10_000
    cells[5000] = 7
    assert len(list(cells_to_wire(REGISTER_ID, 0, cells, to_wire, answer(REGISTER_ENTRY)))) < 400
