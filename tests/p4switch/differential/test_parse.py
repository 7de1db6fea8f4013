"""Packets of every shape, right, damaged and cut short, through parser, checksums and deparser: as in BMv2."""

from __future__ import annotations

import random
import struct

import pytest

from tests.p4switch.compiled import compile_file
from tests.p4switch.differential.comparison import Comparison
from tests.p4switch.differential.conftest import PROGRAMS, ROUNDS, Sides
from tests.p4switch.differential.entries import PORTS
from tests.p4switch.differential.frames import damaged
from tests.p4switch.differential.values import Values
from tests.p4switch.test_native_packets import checksum

FRAMES = 150
KINDS = (0x10, 0x17, 0x20, 0x21, 0x23, 0x30, 0x40, 0x41, 0x42, 0x99)


class Shapes:
    """Makes what the program's parser expects, mostly."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.rng = values.rng

    def frame(self) -> bytes:
        rng = self.rng
        kind = rng.choice(KINDS)
        count = rng.choice((0, 1, 2, 3, 4, 0x80, 0xFE, 0xFF))
        frame = bytes([kind, count]) + rng.choice((0, rng.getrandbits(16), 1 << rng.randrange(16))).to_bytes(2, "big")
        if kind == 0x30:
            frame += rng.randbytes(count & 15)
            if count == 0:
                return damaged(self.values, frame + self._summed(b""))
        if kind in (0x10, 0x17, 0x41) or rng.random() < 0.2:
            frame += self._tags()
        if kind not in (0x21, 0x23):
            frame += self._options()
        return damaged(self.values, frame + self._variable())

    def _tags(self) -> bytes:
        count = self.rng.choice((1, 1, 2, 3, 4, 5))
        last = self.rng.choice((0, 6, 7))
        words = [self.rng.randrange(6) << 13 | self.rng.getrandbits(12) << 1 for _ in range(count - 1)]
        if self.rng.random() < 0.1:
            words.append(7 << 13)  # a tag that is not the last one must not have this priority
        return struct.pack(f">{len(words) + 1}H", *words, last << 13 | 1)

    def _options(self) -> bytes:
        first = self.rng.choice((0, 9, 10, 11, 12, 0x80, 0xFF))
        size = 1 if first < 10 else 12 if first < 12 else 3 if first >= 0x80 else 0
        options = bytes([first]) + self.rng.randbytes(size)
        kind = self.rng.choice((0, 1, 2, 3))
        return options + bytes([kind]) + self.rng.randbytes((1, 12, 0, 0)[kind])

    def _variable(self) -> bytes:
        length = self.rng.choice((0, 1, 2, 3, 8, 31, 32, 33, 63)) | self.rng.choice((0, 0x40))
        before, after = self.rng.randrange(16), self.rng.randrange(16)
        data = self.rng.randbytes(length & 63)
        bits = before << 8 * len(data) + 4 | int.from_bytes(data, "big") << 4 | after
        variable = bytes([length]) + bits.to_bytes(len(data) + 1, "big")
        if after <= 3:
            variable += self.rng.randbytes((length & 3) * 2)
        return variable + self._summed(variable)

    def _summed(self, variable: bytes) -> bytes:
        addresses = self.rng.randbytes(8) + bytes([17, 0]) + self.rng.randbytes(2)
        folded = checksum(addresses) if self.rng.random() < 0.6 else self.rng.getrandbits(16)
        crc = crc16(variable) if self.rng.random() < 0.6 else self.rng.getrandbits(16)
        sums = struct.pack(">HH", folded, crc) + self.rng.randbytes(7)
        return sums + addresses[:9] + addresses[10:] + self.rng.randbytes(self.rng.randrange(30))


def crc16(data: bytes) -> int:
    """CRC-16/ARC, bit by bit."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_random_shapes(seed: int, sides: Sides) -> None:
    bmv2_json, p4info = compile_file(PROGRAMS / "parse.p4")
    rng = random.Random(seed)
    shapes = Shapes(Values(rng))
    comparison = Comparison(*sides, p4info, bmv2_json)
    for _ in range(2):
        for value_set, width in (("packet_parser.tagged_types", 2), ("packet_parser.pairs", 2)):
            members = [rng.randbytes(width), bytes([rng.choice(KINDS), rng.choice((0, 1, 4, 0x80))])]
            for member in members:
                for side in sides:
                    side.thrift.call("standard", "bm_parse_vset_add", value_set, member)
        frames = [(rng.choice(PORTS), shapes.frame()) for _ in range(FRAMES)]
        assert comparison.process(frames) == FRAMES  # whatever is wrong with a packet, it goes on
        comparison.read_everything()
