"""Random P4 programs of expressions: a header of random fields is read, and each field of another one is computed from it."""

from __future__ import annotations

import random
from dataclasses import dataclass

_WIDTHS = (
    1,
    2,
    3,
    5,
    7,
    8,
    9,
    12,
    13,
    16,
    17,
    24,
    31,
    32,
    33,
    40,
    48,
    63,
    64,
    65,
    77,
    96,
    100,
    127,
    128,
    129,
    160,
    200,
)
_HASHES = ("crc16", "crc32", "csum16", "xor16", "identity", "crc16_custom", "crc32_custom")
_RESULTS = 10


@dataclass(frozen=True)
class Type:
    """bit<width>, or int<width>."""

    width: int
    signed: bool = False

    def __str__(self) -> str:
        return f"{'int' if self.signed else 'bit'}<{self.width}>"


class ProgramWriter:
    """Writes one program.

    Args:
        rng: what the program is, and nothing else, comes of it.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.inputs = self._fields("i", rng.randint(6, 12))
        self.results = self._fields("r", _RESULTS)

    def _fields(self, prefix: str, count: int) -> dict[str, Type]:
        types = [self._type() for _ in range(count)]
        over = -sum(each.width for each in types) % 8
        if over:
            types.append(Type(over))
        return {f"{prefix}{number}": each for number, each in enumerate(types)}

    def _type(self) -> Type:
        width = self.rng.choice(_WIDTHS)
        return Type(width, width > 1 and self.rng.random() < 0.3)

    def text(self) -> str:
        statements = []
        for name, kind in self.results.items():
            statements += self._statement(name, kind)
        declare = "\n".join(f"    {kind} {name};" for name, kind in self.inputs.items())
        results = "\n".join(f"    {kind} {name};" for name, kind in self.results.items())
        body = "\n".join(f"        {line}" for line in statements)
        return _FRAME.replace("INPUTS", declare).replace("RESULTS", results).replace("BODY", body)

    def _statement(self, name: str, kind: Type) -> list[str]:
        target = f"hdr.results.{name}"
        match self.rng.randrange(6):
            case 0:
                return [
                    f"if ({self.boolean(3)}) {{ {target} = {self.expression(kind, 3)}; }}",
                    f"else {{ {target} = {self.expression(kind, 2)}; }}",
                ]
            case 1 if not kind.signed and kind.width <= 64:
                width = self.rng.choice((16, 32))
                fields = ", ".join(self._hashed() for _ in range(self.rng.randint(1, 4)))
                base, most = self.rng.choice(((0, 1 << width - 1), (0, 7), (5, 100), (0, 1), (3, 0)))
                return [
                    f"hash(meta.hash{width}, HashAlgorithm.{self.rng.choice(_HASHES)}, {width}w{base}, "
                    f"{{ {fields} }}, {width}w{most});",
                    f"{target} = {self._cast(Type(width), f'meta.hash{width}', kind)};",
                ]
            case 2 if kind.width > 2:
                high = self.rng.randrange(1, kind.width)
                low = self.rng.randrange(high + 1)
                piece = Type(high - low + 1)
                return [
                    f"{target} = {self.expression(kind, 2)};",
                    f"{target}[{high}:{low}] = {self.expression(piece, 2)};",
                ]
            case _:
                return [f"{target} = {self.expression(kind, 4)};"]

    # -- expressions

    def expression(self, kind: Type, depth: int) -> str:
        """An expression of a type."""
        if depth == 0 or self.rng.random() < 0.1:
            return self._leaf(kind)
        again = depth - 1
        choice = self.rng.randrange(11)
        if choice < 4:
            operator = self.rng.choice(("+", "-", "*", "&", "|", "^", "|+|", "|-|", "+", "-"))
            return f"({self.expression(kind, again)} {operator} {self.expression(kind, again)})"
        if choice == 4:
            return f"({self.rng.choice('-~')}{self.expression(kind, again)})"
        if choice == 5:
            distance = str(self.rng.randrange(kind.width + 3))
            if self.rng.random() < 0.5:
                distance = self.expression(Type(8), again)
            return f"({self.expression(kind, again)} {self.rng.choice(('<<', '>>'))} {distance})"
        if choice == 6 and not kind.signed and kind.width > 1:
            right = self.rng.randrange(1, kind.width)
            left = Type(kind.width - right)
            return f"({self.expression(left, again)} ++ {self.expression(Type(right), again)})"
        if choice == 7 and not kind.signed:
            name, wide = self.rng.choice(list(self.inputs.items()))
            if wide.width >= kind.width:
                low = self.rng.randrange(wide.width - kind.width + 1)
                return f"hdr.inputs.{name}[{low + kind.width - 1}:{low}]"
        if choice == 8:
            return f"({self.boolean(again)} ? {self.expression(kind, again)} : {self.expression(kind, again)})"
        if choice == 9:
            other = self._type()
            return self._cast(other, self.expression(other, again), kind)
        return self._leaf(kind)

    def boolean(self, depth: int) -> str:
        kind = self._type()
        if depth > 0 and self.rng.random() < 0.3:
            return f"({self.boolean(depth - 1)} {self.rng.choice(('&&', '||'))} {self.boolean(depth - 1)})"
        if self.rng.random() < 0.1:
            return f"(!{self.boolean(max(0, depth - 1))})"
        operator = self.rng.choice(("==", "!=", "<", "<=", ">", ">="))
        again = min(depth, 2)
        return f"({self.expression(kind, again)} {operator} {self.expression(kind, again)})"

    def _leaf(self, kind: Type) -> str:
        same = [name for name, other in self.inputs.items() if other == kind]
        if same and self.rng.random() < 0.6:
            return f"hdr.inputs.{self.rng.choice(same)}"
        if self.rng.random() < 0.7:
            name, other = self.rng.choice(list(self.inputs.items()))
            return self._cast(other, f"hdr.inputs.{name}", kind)
        corners = (0, 1, (1 << kind.width) - 1, 1 << kind.width - 1, self.rng.getrandbits(kind.width))
        value = self.rng.choice(corners)
        if kind.signed:
            value = value - (1 << kind.width) if value >> kind.width - 1 else value
            return f"({kind})({value})"
        return f"{kind.width}w{value}"

    def _hashed(self) -> str:
        """A field, cast or not, or a constant that is not negative: BMv2 does not know how to hash others."""
        if self.rng.random() < 0.2:
            width = self.rng.choice(_WIDTHS)
            return f"{width}w{self.rng.getrandbits(width)}"
        name, kind = self.rng.choice(list(self.inputs.items()))
        text = f"hdr.inputs.{name}"
        return self._cast(kind, text, self._type()) if self.rng.random() < 0.3 else text

    @staticmethod
    def _cast(source: Type, text: str, target: Type) -> str:
        """Width first, then sign: P4 casts one of them at a time."""
        if source.width != target.width:
            text = f"({Type(target.width, source.signed)}){text}"
        if source.signed != target.signed:
            text = f"({target})({text})"
        return f"({text})"


_FRAME = """\
#include <core.p4>
#include <v1model.p4>

header inputs_t {
INPUTS
}
header results_t {
RESULTS
}
struct headers_t { inputs_t inputs; results_t results; }
struct metadata_t { bit<16> hash16; bit<32> hash32; }

parser packet_parser(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    state start { packet.extract(hdr.inputs); transition accept; }
}
control none(inout headers_t hdr, inout metadata_t meta) { apply { } }
control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        hdr.results.setValid();
BODY
    }
}
control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) { apply { } }
control packet_deparser(packet_out packet, in headers_t hdr) {
    apply { packet.emit(hdr.results); packet.emit(hdr.inputs); }
}
V1Switch(packet_parser(), none(), ingress(), egress(), none(), packet_deparser()) main;
"""
