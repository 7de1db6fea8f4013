"""Random packets: a program's headers, filled from the values that its entries are made of."""

from __future__ import annotations

from collections.abc import Mapping

from p4switch.bmv2.loader import load
from p4switch.bmv2.model import HeaderType
from tests.p4switch.differential.values import Values


def header_types(bmv2_json: bytes) -> dict[str, HeaderType]:
    """A program's header types by their names."""
    return {header.type.name: header.type for header in load(bmv2_json).headers.values()}


def header(values: Values, kind: HeaderType, given: Mapping[str, int] | None = None) -> bytes:
    """A header with a random value in each field.

    Args:
        given: the values of some of the fields.
    """
    given = given or {}
    bits, width = 0, 0
    for field in kind.fields:
        assert not field.varlen
        value = given[field.name] if field.name in given else values.value(field.width)
        bits, width = bits << field.width | value, width + field.width
    assert width % 8 == 0, f"{kind.name} has {width} bits"
    return bits.to_bytes(width // 8, "big")


def explain(packet: bytes, *kinds: HeaderType) -> str:
    """The fields of a packet that starts with these headers, as far as it is long enough."""
    words = []
    rest = packet
    for kind in kinds:
        size = kind.fixed_bits // 8
        if len(rest) < size:
            break
        bits, left = int.from_bytes(rest[:size], "big"), 8 * size
        for field in kind.fields:
            left -= field.width
            words.append(f"{field.name}={bits >> left & (1 << field.width) - 1:x}")
        rest = rest[size:]
    return f"{' '.join(words)} | {rest.hex()}"


def damaged(values: Values, frame: bytes) -> bytes:
    """A frame with some bits changed, or cut, now and then."""
    rng = values.rng
    kind = rng.random()
    if kind < 0.05:
        return frame[: rng.randrange(1, len(frame))]
    if kind < 0.15:
        changed = bytearray(frame)
        for _ in range(rng.randint(1, 3)):
            changed[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)
        return bytes(changed)
    return frame
