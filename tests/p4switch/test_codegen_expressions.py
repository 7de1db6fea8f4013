"""Random expressions: the generated C computes what BMv2 does, which is unbounded integers cut down when stored."""

from __future__ import annotations

import random

import pytest

from p4switch.native import NativeDataplane
from tests.p4switch.bmv2_builder import Document, Json, assign, hexstr, op, ref

WIDTHS = (1, 4, 9, 16, 24, 32, 33, 48, 63, 64, 65, 100, 128, 129, 192, 333, 600)
SIGNED_WIDTHS = (8, 16, 33, 64, 96, 128, 129, 200)
RESULTS = 16


class Reference:
    """Evaluates an operand as BMv2 does."""

    def __init__(self, inputs: dict[str, tuple[int, int, bool]]) -> None:
        self.inputs = inputs  # value, width, signed

    def data(self, operand: Json) -> int:
        if operand["type"] == "field":
            value, width, signed = self.inputs[operand["value"][1]]
            return value - (1 << width) if signed and value >> (width - 1) else value
        if operand["type"] == "hexstr":
            return int(operand["value"], 16)
        value = operand["value"]
        name = value["op"]
        if name == "?":
            return self.data(value["left"] if self.boolean(value["cond"]) else value["right"])
        if name == "~":
            return ~self.data(value["right"])
        if name == "b2d":
            return int(self.boolean(value["right"]))
        left, right = self.data(value["left"]), self.data(value["right"])
        match name:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
            case "&":
                return left & right
            case "|":
                return left | right
            case "^":
                return left ^ right
            case "<<":
                return left << right
            case ">>":
                return left >> right
            case "two_comp_mod":
                cut = left & ((1 << right) - 1)
                return cut - (1 << right) if cut >> (right - 1) else cut
            case "usat_cast":
                return min(max(left, 0), (1 << right) - 1)
            case "sat_cast":
                return min(max(left, -(1 << (right - 1))), (1 << (right - 1)) - 1)
        raise AssertionError(name)

    def boolean(self, operand: Json) -> bool:
        if operand["type"] == "bool":
            return bool(operand["value"])
        value = operand["value"]
        match value["op"]:
            case "and":
                return self.boolean(value["left"]) and self.boolean(value["right"])
            case "or":
                return self.boolean(value["left"]) or self.boolean(value["right"])
            case "not":
                return not self.boolean(value["right"])
            case "d2b":
                return self.data(value["right"]) != 0
        left, right = self.data(value["left"]), self.data(value["right"])
        result: dict[str, bool] = {
            "==": left == right,
            "!=": left != right,
            "<": left < right,
            "<=": left <= right,
            ">": left > right,
            ">=": left >= right,
        }
        return result[value["op"]]


class Generator:
    """Random operands over the fields of header `in`, of the kinds that compilers emit (results masked or cast)."""

    def __init__(self, rng: random.Random, names: dict[str, tuple[int, bool]]) -> None:
        self.rng = rng
        self.names = names

    def leaf(self) -> Json:
        if self.rng.random() < 0.25:
            return hexstr(self.rng.getrandbits(self.rng.choice((1, 8, 16, 32, 64, 128, 200))))
        return ref("in", self.rng.choice(list(self.names)))

    def data(self, depth: int) -> Json:
        rng = self.rng
        if depth == 0 or rng.random() < 0.1:
            return self.leaf()
        width = rng.choice(WIDTHS)
        mask = hexstr((1 << width) - 1)
        match rng.randrange(9):
            case 0:
                name = rng.choice("+-*")
                return op("&", op(name, self.data(depth - 1), self.data(depth - 1)), mask)
            case 1:
                return op(rng.choice("&|^"), self.data(depth - 1), self.data(depth - 1))
            case 2:  # concatenation
                left = op("<<", self.data(depth - 1), hexstr(rng.randrange(0, 200)))
                return op("&", op("|", left, self.data(depth - 1)), mask)
            case 3:  # slice
                return op("&", op(">>", self.data(depth - 1), hexstr(rng.randrange(0, 200))), mask)
            case 4:
                distance = op("&", self.leaf(), hexstr(0x7F))
                return op("&", op(rng.choice(("<<", ">>")), self.data(depth - 1), distance), mask)
            case 5:
                return op("&", op("~", None, self.data(depth - 1)), mask)
            case 6:
                return op("two_comp_mod", self.data(depth - 1), hexstr(rng.choice(SIGNED_WIDTHS)))
            case 7:
                size = rng.choice((64, 64, 200))
                narrow = op("&", self.data(depth - 1), hexstr((1 << size) - 1))
                other = op("two_comp_mod", self.data(depth - 1), hexstr(size // 2))
                cast = rng.choice(("usat_cast", "sat_cast"))
                return op(cast, op(rng.choice("+-"), narrow, other), hexstr(rng.choice((8, size // 2, size))))
            case _:
                return op("?", self.data(depth - 1), self.data(depth - 1), self.boolean(depth - 1))

    def boolean(self, depth: int) -> Json:
        rng = self.rng
        if depth == 0:
            return op("d2b", None, self.leaf())
        match rng.randrange(4):
            case 0:
                return op(rng.choice(("and", "or")), self.boolean(depth - 1), self.boolean(depth - 1))
            case 1:
                return op("not", None, self.boolean(depth - 1))
            case _:
                name = rng.choice(("==", "!=", "<", "<=", ">", ">="))
                return op(name, self.data(depth - 1), self.data(depth - 1))


def inputs() -> dict[str, tuple[int, bool]]:
    fields = {f"u{width}": (width, False) for width in WIDTHS}
    fields |= {f"s{width}": (width, True) for width in SIGNED_WIDTHS}
    total = sum(width for width, _ in fields.values())
    fields["pad"] = (-total % 8 or 8, False)
    return fields


@pytest.mark.parametrize("seed", range(4))
def test_expressions_compute_as_bmv2(seed: int) -> None:
    rng = random.Random(seed)
    generator = Generator(rng, inputs())
    targets = [rng.choice((8, 16, 32, 64, 128, 136, 600)) for _ in range(RESULTS)]
    expressions = [generator.data(rng.randrange(1, 5)) for _ in targets]
    conditions = [generator.boolean(3) for _ in range(8)]
    expressions[: len(conditions)] = [op("b2d", None, condition) for condition in conditions]
    check(rng, targets, expressions)


def test_small_numbers_are_not_cut_to_an_int_of_c() -> None:
    choice = op("?", hexstr(1), hexstr(0), op("d2b", None, ref("in", "u1")))
    most = hexstr((1 << 32) - 1)
    expressions = [op("<<", choice, hexstr(by)) for by in (7, 31, 32, 44, 63, 100)]
    expressions += [op("+", most, hexstr(1)), op("-", hexstr(1), hexstr(2)), op("*", most, most)]
    check(random.Random(0), [48, 64, 64, 48, 64, 128, 64, 48, 64], expressions)


def test_signs_reach_above_the_words_of_a_wide_value() -> None:
    shifted = op(">>", ref("in", "s129"), op("&", ref("in", "u4"), hexstr(15)))
    below = op("sat_cast", op("-", ref("in", "u9"), ref("in", "u129")), hexstr(64))
    expressions = [shifted, below, op("b2d", None, op("<", below, ref("in", "u600")))]
    check(random.Random(0), [600, 600, 8], expressions)


def check(rng: random.Random, targets: list[int], expressions: list[Json]) -> None:
    """Compute the expressions, cut to so many bits each, in generated C and here, over random inputs."""
    fields = inputs()
    document = Document(
        headers={
            "in": [(name, width, signed) for name, (width, signed) in fields.items()],
            "out": [(f"r{i}", width) for i, width in enumerate(targets)],
        }
    )
    primitives = [assign(ref("out", f"r{i}"), expression) for i, expression in enumerate(expressions)]
    document.table("compute", "exact", [], [document.action("compute", [], primitives)])

    dataplane = NativeDataplane()
    try:
        dataplane.load(document.encode())
        in_bits = sum(width for width, _ in fields.values())
        out_bits = sum(targets)
        for _ in range(20):
            values = {
                name: rng.choice(
                    (0, (1 << width) - 1, 1 << (width - 1), rng.getrandbits(width), rng.getrandbits(width))
                )
                for name, (width, _) in fields.items()
            }
            packed = 0
            for name, (width, _) in fields.items():
                packed = packed << width | values[name]
            frame = packed.to_bytes(in_bits // 8, "big") + bytes(out_bits // 8)
            ((port, result),) = dataplane.inject(0, frame)
            assert port == 0
            assert result[: in_bits // 8] == frame[: in_bits // 8], "the inputs were changed"
            reference = Reference({name: (values[name], *fields[name]) for name in fields})
            rest = int.from_bytes(result[in_bits // 8 :], "big")
            left = out_bits
            for i, (width, expression) in enumerate(zip(targets, expressions, strict=True)):
                left -= width
                got = rest >> left & ((1 << width) - 1)
                assert got == reference.data(expression) & ((1 << width) - 1), f"r{i} = {expression} for {values}"
    finally:
        dataplane.close()
