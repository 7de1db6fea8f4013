"""C for expressions.

BMv2 computes in unbounded integers and cuts a value down when it is stored. Here only the bits that are asked for are
computed: `bits(e, low, n)` is C for n <= 64 bits of the value, and shifts, masks, concatenations and slices with constant distances
dissolve into the pieces of fields they name. That is what keeps 600-bit keys fast: each word of a concatenation is an OR of
two or three shifted fields, whatever the nesting. Only sums and products of more than 128 bits go through arrays of words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from p4switch.bmv2 import model
from p4switch.codegen.errors import UnsupportedError
from p4switch.codegen.layout import Layout, ctype, limbs
from p4switch.codegen.ranges import MAX_PRECISION, range_of, signed_bits
from p4switch.codegen.writer import Writer


@dataclass(frozen=True, slots=True)
class Term:
    """C of type uint64_t. `clean`: no bits are set above those asked for. `value`: the constant it is, if it is one."""

    text: str
    clean: bool = False
    value: int | None = None


def literal(value: int) -> Term:
    return Term(f"{value:#x}u" if value < 1 << 32 else f"{value:#x}ull", True, value)


ZERO = literal(0)


def ones(bits: int) -> int:
    return (1 << bits) - 1


class Expressions:
    """Generates expressions; what must be computed beforehand is written to `out`.

    `where` names the object the code is for, in errors. `args` is the C name of the action's argument words.
    """

    def __init__(self, layout: Layout, out: Writer, where: str, arg_limbs: tuple[int, ...] = ()) -> None:
        self.layout = layout
        self.out = out
        self.where = where
        self.arg_limbs = arg_limbs
        self.packet = "p"  # C name of the parser's position, for lookahead

    def unsupported(self, what: str) -> UnsupportedError:
        return UnsupportedError(self.where, f"{what} is not supported")

    # -- up to 64 bits

    def bits(self, expr: model.Expr, low: int, count: int) -> str:
        """C for bits [low, low + count) of `expr`, 0 < count <= 64, with zeros above."""
        term = self.term(expr, low, count)
        if term.clean or count == 64:
            return term.text
        return f"({term.text} & {literal(ones(count)).text})"

    def term(self, expr: model.Expr, low: int, count: int) -> Term:
        match expr:
            case model.FieldRef(header, decl):
                where = self.layout.header(header)
                return self._field(f"{where}.{self.layout.field(self._type(header), decl)}", decl, low, count)
            case model.StackFieldRef(stack, decl):
                pointer = self._last(stack)
                member = self.layout.field(self.layout.program.stacks[stack].type, decl)
                return self._field(f"{pointer}->{member}", decl, low, count)
            case model.UnionStackFieldRef(stack, headers, decl):
                following = self.layout.next_index(stack)
                text = ZERO.text
                for number, name in enumerate(headers, start=1):
                    value = self.bits(model.FieldRef(name, decl), low, count)
                    text = f"({following} == {number} ? {value} : {text})"
                return Term(text, True)
            case model.ElementField(element, decl):
                pointer = self.element(element)
                member = self.layout.field(self.layout.program.stacks[element.stack].type, decl)
                return self._field(f"{pointer}->{member}", decl, low, count)
            case model.Const(value, _):
                return literal((value >> low) & ones(count))
            case model.Param(index, width):
                return self._words("a", self.arg_limbs[index], width, low, count)
            case model.Lookahead(offset, width):
                return self.packet_bits(self.packet, offset + width - low - count, count, low, width)
            case model.RegisterRef(register, index):
                return self._register(register, index, low, count)
            case model.Unary("b2d", operand):
                return Term(f"(uint64_t)({self.boolean(operand)})", True) if low == 0 else ZERO
            case model.Unary("~", operand):
                inner = self.term(operand, low, count)
                if inner.value is not None:
                    return literal(~inner.value & ones(count))
                return Term(f"(~{inner.text})")
            case model.Unary("last_stack_index", model.StackRef(stack)):
                return self._shifted(f"((uint64_t){self.layout.next_index(stack)} - 1)", low, count)
            case model.Unary("size_stack", model.StackRef(stack)):
                return self._shifted(f"(uint64_t){self.layout.next_index(stack)}", low, count)
            case model.Ternary(cond, left, right):
                test = self.out.hoist(("cond", id(expr)), "bool", self.boolean(cond))
                a, b = self.term(left, low, count), self.term(right, low, count)
                # Two small literals would make an int of C's, too narrow for what a shift does to it.
                return Term(f"({test} ? (uint64_t){a.text} : {b.text})", a.clean and b.clean)
            case model.Binary():
                return self._binary(expr, low, count)
        raise self.unsupported(f"a value of {type(expr).__name__}")

    def _type(self, header: str) -> model.HeaderType:
        return self.layout.program.headers[header].type

    def _shifted(self, text: str, low: int, count: int) -> Term:
        """Bits of a C uint64_t that holds the whole value."""
        if low >= 64:
            return ZERO
        return Term(f"({text} >> {low})" if low else text, low + count >= 64)

    def _field(self, path: str, decl: model.FieldDecl, low: int, count: int) -> Term:
        width = decl.width
        if decl.varlen:
            raise self.unsupported(f"the variable-length field {decl.name!r} in an expression")
        if decl.signed and low + count > width > 128:
            return self._sign_filled(lambda at, bits: self._plain_field(path, width, at, bits), width, low, count)
        if decl.signed and low + count > width:
            return self._sign_extended(
                self._plain_field(path, width, 0, width) if width <= 64 else None, path, width, low, count
            )
        return self._plain_field(path, width, low, count)

    def _plain_field(self, path: str, width: int, low: int, count: int) -> Term:
        if low >= width:
            return ZERO
        clean = count == 64 or low + count >= width
        if width <= 64:
            text = f"(uint64_t){path}"
            return Term(f"({text} >> {low})" if low else text, clean)
        if width <= 128:
            return Term(f"(uint64_t)({path} >> {low})" if low else f"(uint64_t){path}", clean)
        return self._words(path, 0, width, low, count)

    def _words(self, array: str, first: int, width: int, low: int, count: int) -> Term:
        """Bits of a value of `width` bits that starts at word `first` of a C array."""
        if low >= width:
            return ZERO
        clean = count == 64 or low + count >= width
        word, bit = first + low // 64, low % 64
        if bit == 0:
            return Term(f"{array}[{word}]", clean)
        text = f"({array}[{word}] >> {bit})"
        if bit + min(count, width - low) > 64:
            text = f"({text} | ({array}[{word + 1}] << {64 - bit}))"
            return Term(text, clean)
        return Term(text, clean)

    def _sign_extended(self, inner: Term | None, path: str, width: int, low: int, count: int) -> Term:
        """Bits of a two's complement value of `width` bits: `inner` holds it if it has at most 64, else `path` does."""
        if inner is not None:
            full = f"kv_sext64({inner.text}, {width})"
            return Term(full if low == 0 else f"(uint64_t)((int64_t){full} >> {min(low, 63)})", count == 64)
        full = f"(kv_i128)kv_sext128({path}, {width})"
        return Term(f"(uint64_t)({full} >> {min(low, 127)})", count == 64)

    def _sign_filled(self, plain: Callable[[int, int], Term], width: int, low: int, count: int) -> Term:
        """Bits of a two's complement value of more than 128 bits, some of them above it: `plain` has those within."""
        sign = plain(width - 1, 1)
        fill = f"(0 - ((uint64_t){sign.text} & 1))"
        if low >= width:
            return Term(fill, count == 64)
        inside = width - low
        inner = plain(low, inside)
        text = inner.text if inner.clean else f"({inner.text} & {literal(ones(inside)).text})"
        return Term(f"({text} | ({fill} << {inside}))", count == 64)

    def _signed_words(self, array: str, words: int, low: int, count: int) -> Term:
        """Bits of a two's complement value that fills so many words of a C array, also of those above it."""
        width = words * 64
        if low + count <= width:
            return self._words(array, 0, width, low, count)
        return self._sign_filled(lambda at, bits: self._words(array, 0, width, at, bits), width, low, count)

    def packet_bits(self, pointer: str, position: int, count: int, low: int = 0, width: int = 64) -> Term:
        """`count` bits of the packet at bit `position` behind `pointer`, the most significant first."""
        if low >= width:
            return ZERO
        if low + count > width:  # nothing is above the value: ask for less
            count, position = width - low, position + (low + count - width)
        byte, bit = divmod(position, 8)
        at = f"{pointer} + {byte}" if byte else pointer
        for size, load in ((8, f"(uint64_t){pointer}[{byte}]"), (16, f"kv_load16({at})"), (32, f"kv_load32({at})")):
            if bit + count <= size:
                shift = size - bit - count
                return Term(f"({load} >> {shift})" if shift else load, bit == 0)
        if bit + count <= 64:
            shift = 64 - bit - count
            return Term(f"(kv_load64({at}) >> {shift})" if shift else f"kv_load64({at})", bit == 0)
        rest = bit + count - 64
        return Term(f"((kv_load64({at}) << {rest}) | ({pointer}[{byte + 8}] >> {8 - rest}))", count == 64)

    def _register(self, register: str, index: model.Expr, low: int, count: int) -> Term:
        number = list(self.layout.program.registers).index(register)
        spec = self.layout.program.registers[register]
        if spec.width > 64:
            raise self.unsupported(f"register {register!r} of {spec.width} bits inside an expression")
        at = self.out.hoist(("index", id(index)), "uint64_t", self.word(index))
        cells = f"((const {ctype(spec.width)} *)ctx->pipeline->registers[{number}])"
        return self._shifted(f"({at} < {spec.size} ? (uint64_t){cells}[{at}] : 0)", low, count)

    # -- operations

    def _binary(self, expr: model.Binary, low: int, count: int) -> Term:
        op, left, right = expr.op, expr.left, expr.right
        match op:
            case "&" | "|" | "^":
                return _bitwise(op, self.term(left, low, count), self.term(right, low, count), count)
            case "<<" if isinstance(right, model.Const):
                return self._shift_left(left, right.value, low, count)
            case ">>" if isinstance(right, model.Const):
                if right.value + low > MAX_PRECISION:
                    low = MAX_PRECISION
                    return self.term(left, low, count)
                return self.term(left, low + right.value, count)
            case "two_comp_mod":
                width = self._constant(right)
                if low + count <= width:
                    return self.term(left, low, count)
                if width <= 64:
                    return self._sign_extended(self.term(left, 0, width), "", width, low, count)
                if width > 128:
                    return self._sign_filled(lambda at, bits: self.term(left, at, bits), width, low, count)
                return self._sign_extended(None, f"({self.u128(left, width)})", width, low, count)
        need = low + count
        if op in ("/", "%", ">>", "usat_cast", "sat_cast"):
            return self._exact_operation(expr, low, count)
        if need <= 64:
            text = self._word_operation(op, left, right, need)
            return Term(f"({text} >> {low})" if low else text, low + count == 64)
        if need <= 128:
            return Term(f"(uint64_t)({self.u128(expr, need)} >> {low})", count == 64)
        return self._words(self.array(expr, need), 0, limbs(need) * 64, low, count)

    def _word_operation(self, op: str, left: model.Expr, right: model.Expr, need: int) -> str:
        if op == "<<":
            return f"kv_shl64({self.bits(left, 0, need)}, {self.word(right)})"
        if op not in ("+", "-", "*"):
            raise self.unsupported(f"operation {op!r}")
        return f"((uint64_t){self.term(left, 0, need).text} {op} {self.term(right, 0, need).text})"

    def _shift_left(self, operand: model.Expr, by: int, low: int, count: int) -> Term:
        if by < 0:
            raise self.unsupported("a shift by a negative distance")
        if low + count <= by:
            return ZERO
        if low >= by:
            return self.term(operand, low - by, count)
        shift = by - low
        inner = self.term(operand, 0, count - shift)
        if inner.value is not None:
            return literal(inner.value << shift)
        return Term(f"({inner.text} << {shift})", inner.clean or count == 64)

    def _constant(self, expr: model.Expr) -> int:
        if not isinstance(expr, model.Const) or not 0 < expr.value <= MAX_PRECISION:
            raise self.unsupported("a cast to a width that is not a constant")
        return expr.value

    def _exact_operation(self, expr: model.Binary, low: int, count: int) -> Term:
        """Operations that need the whole value of their operands."""
        op, left, right = expr.op, expr.left, expr.right
        bounds = range_of(left)
        if op == ">>":
            by = self.word(right)
            if bounds[0] >= 0 and bounds[1].bit_length() <= 64:
                return self._shifted(f"kv_shr64({self.bits(left, 0, 64)}, {by})", low, count)
            if signed_bits(bounds) <= 64:
                full = f"kv_sar64({self.bits(left, 0, 64)}, {by})"
                return Term(f"(uint64_t)((int64_t){full} >> {min(low, 63)})" if low else full, count == 64)
            if bounds[0] >= 0 and bounds[1].bit_length() <= 128:
                return Term(f"(uint64_t)(kv_shr128({self.u128(left, 128)}, {by}) >> {min(low, 127)})", count == 64)
            if signed_bits(bounds) <= 128:
                full = f"(kv_i128)kv_sar128({self.u128(left, 128)}, {by})"
                return Term(f"(uint64_t)({full} >> {min(low, 127)})", count == 64)
            width = self._precision(bounds)
            source = self.array(left, width)
            name = self.out.fresh()
            fill = "0" if bounds[0] >= 0 else f"(uint64_t)((int64_t){source}[{limbs(width) - 1}] >> 63)"
            self.out.line(f"uint64_t {name}[{limbs(width)}];")
            self.out.line(f"kv_wide_shr({name}, {source}, {by}, {limbs(width)}, {fill});")
            return self._signed_words(name, limbs(width), low, count)
        if op in ("/", "%"):
            other = range_of(right)
            if bounds[0] < 0 or other[0] < 0:
                return self._signed_division(expr, max(signed_bits(bounds), signed_bits(other)), low, count)
            width = max(bounds[1].bit_length(), other[1].bit_length())
            if width <= 64:
                divisor = self.out.hoist(("divisor", id(expr)), "uint64_t", self.bits(right, 0, 64))
                return self._shifted(f"({divisor} ? {self.bits(left, 0, 64)} {op} {divisor} : 0)", low, count)
            if width <= 128:
                divisor = self.out.hoist(("divisor", id(expr)), "kv_u128", self.u128(right, 128))
                value = f"({divisor} ? {self.u128(left, 128)} {op} {divisor} : 0)"
                return Term(f"(uint64_t)({value} >> {min(low, 127)})", count == 64)
            return self._words(self._wide_division(expr, width), 0, limbs(width) * 64, low, count)
        width = self._constant(right)
        least, most = (-(1 << (width - 1)), ones(width - 1)) if op == "sat_cast" else (0, ones(width))
        precision = max(self._precision(bounds), width + 1)
        if precision > 128:
            value, high_text, low_text = (
                self.array(each, limbs(precision) * 64) for each in (left, model.Const(most), model.Const(least))
            )
            chosen = self.out.fresh()
            above, below = (
                f"kv_wide_compare({value}, {end}, {limbs(precision)}, true)" for end in (high_text, low_text)
            )
            self.out.line(f"const uint64_t *const {chosen} =")
            self.out.line(f"    {above} > 0 ? {high_text} : {below} < 0 ? {low_text} : {value};")
            return self._signed_words(chosen, limbs(precision), low, count)
        value = self.out.hoist(("saturated", id(expr)), "kv_i128", f"(kv_i128){self.u128(left, 128)}")
        high_text, low_text = _i128(most), _i128(least)
        clamped = f"({value} > {high_text} ? {high_text} : {value} < {low_text} ? {low_text} : {value})"
        return Term(f"(uint64_t)({clamped} >> {min(low, 127)})", count == 64)

    def _signed_division(self, expr: model.Binary, width: int, low: int, count: int) -> Term:
        """Rounded towards zero, as C and BMv2 do it; the remainder has the sign of the dividend."""
        if width > 128:
            raise self.unsupported(f"{expr.op!r} of signed values of {width} bits")
        divisor = self.out.hoist(("divisor", id(expr)), "kv_i128", f"(kv_i128){self.u128(expr.right, 128)}")
        # Minus one apart: the least value divided by it would overflow.
        minus_one = f"-(kv_u128){self.u128(expr.left, 128)}" if expr.op == "/" else "(kv_u128)0"
        value = (
            f"({divisor} == 0 ? (kv_u128)0 : {divisor} == -1 ? {minus_one} : "
            f"(kv_u128)((kv_i128){self.u128(expr.left, 128)} {expr.op} {divisor}))"
        )
        return Term(f"(uint64_t)((kv_i128){value} >> {min(low, 127)})", count == 64)

    def _wide_division(self, expr: model.Binary, width: int) -> str:
        """An array of words with the quotient or the remainder."""
        dividend, divisor = self.array(expr.left, limbs(width) * 64), self.array(expr.right, limbs(width) * 64)
        names = [self.out.fresh(), self.out.fresh()]
        for name in names:
            self.out.line(f"uint64_t {name}[{limbs(width)}];")
        self.out.line(f"kv_wide_divide({names[0]}, {names[1]}, {dividend}, {divisor}, {limbs(width)});")
        return names[0] if expr.op == "/" else names[1]

    def _precision(self, bounds: tuple[int, int]) -> int:
        width = signed_bits(bounds)
        if width > MAX_PRECISION:
            raise self.unsupported(f"an intermediate value of {width} bits")
        return width

    # -- more than 64 bits

    def u128(self, expr: model.Expr, need: int) -> str:
        """C of type kv_u128 whose low `need` bits are those of `expr`."""
        match expr:
            case model.FieldRef(header, decl) if 64 < decl.width <= 128 and not decl.signed:
                return f"{self.layout.header(header)}.{self.layout.field(self._type(header), decl)}"
            case model.Binary("+" | "-" | "*" as op, left, right) if need > 64:
                return f"({self.u128(left, need)} {op} {self.u128(right, need)})"
            case model.Binary("<<", left, right) if need > 64 and not isinstance(right, model.Const):
                return f"kv_shl128({self.u128(left, need)}, {self.word(right)})"
        if need <= 64:
            return f"(kv_u128){self.bits(expr, 0, need)}"
        bounds = range_of(expr)
        if bounds[0] >= 0 and bounds[1].bit_length() <= 64:
            return f"(kv_u128){self.bits(expr, 0, 64)}"
        return f"kv_u128_of({self.bits(expr, 64, 64)}, {self.bits(expr, 0, 64)})"

    def array(self, expr: model.Expr, need: int) -> str:
        """The name of a C array of words whose low `need` bits are those of `expr`."""
        if need > MAX_PRECISION:
            raise self.unsupported(f"an intermediate value of {need} bits")
        count = limbs(need)
        name = self.out.fresh()
        match expr:
            case model.FieldRef(header, decl) if decl.width > 128 and not decl.signed and limbs(decl.width) == count:
                return f"{self.layout.header(header)}.{self.layout.field(self._type(header), decl)}"
            case model.Binary("+" | "-" | "*" as op, left, right):
                a, b = self.array(left, need), self.array(right, need)
                call = {"+": "add", "-": "sub", "*": "mul"}[op]
                self.out.line(f"uint64_t {name}[{count}];")
                self.out.line(f"kv_wide_{call}({name}, {a}, {b}, {count});")
            case model.Binary("<<", left, right) if not isinstance(right, model.Const):
                a, by = self.array(left, need), self.word(right)
                self.out.line(f"uint64_t {name}[{count}];")
                self.out.line(f"kv_wide_shl({name}, {a}, {by}, {count});")
            case _:
                words = [self.bits(expr, 64 * i, 64) for i in range(count)]
                self.out.line(f"const uint64_t {name}[{count}] = {{{', '.join(words)}}};")
        return name

    def word(self, expr: model.Expr) -> str:
        """A non-negative number such as an index or a distance, as uint64_t; what is greater becomes the greatest."""
        bounds = range_of(expr)
        if bounds[0] >= 0 and bounds[1].bit_length() <= 64:
            return self.bits(expr, 0, 64)
        if bounds[0] >= 0 and bounds[1].bit_length() <= 128:
            value = self.out.temp("kv_u128", self.u128(expr, 128))
            return f"({value} >> 64 ? ~0ull : (uint64_t){value})"
        return self.bits(expr, 0, 64)

    # -- conditions

    def boolean(self, expr: model.Expr) -> str:
        """C of type bool, in parentheses where it needs them."""
        match expr:
            case model.BoolConst(value):
                return "true" if value else "false"
            case model.Binary("and", left, right):
                return f"({self.boolean(left)} && {self.boolean(right)})"
            case model.Binary("or", left, right):
                return f"({self.boolean(left)} || {self.boolean(right)})"
            case model.Unary("not", operand):
                return f"!{self.boolean(operand)}"
            case model.Unary("valid", operand):
                return f"({self.header(operand)}->valid != 0)"
            case model.Unary("valid_union", model.UnionRef(union)):
                members = self.layout.program.unions[union].headers
                return "(" + " || ".join(f"{self.layout.header(name)}.valid" for name in members) + ")"
            case model.Unary("d2b", operand):
                return self.compare("!=", operand, model.Const(0))
            case model.Ternary(cond, left, right):
                return f"({self.boolean(cond)} ? {self.boolean(left)} : {self.boolean(right)})"
            case model.Binary("==" | "!=" as op, left, right) if _is_header(left):
                return self._compare_headers(op, left, right)
            case model.Binary("==" | "!=" as op, left, right) if is_boolean(left):
                return f"({self.boolean(left)} {op} {self.boolean(right)})"
            case model.Binary(op, left, right):
                return self.compare(op, left, right)
        raise self.unsupported(f"a condition of {type(expr).__name__}")

    def compare(self, op: str, left: model.Expr, right: model.Expr) -> str:
        """C of type bool for `left op right` on data values."""
        if _is_varlen(left) or _is_varlen(right):
            return self._compare_varlen(op, left, right)
        a, b = range_of(left), range_of(right)
        bounds = (min(a[0], b[0]), max(a[1], b[1]))
        if bounds[0] >= 0 and bounds[1].bit_length() <= 64:
            return f"({self.bits(left, 0, 64)} {op} {self.bits(right, 0, 64)})"
        if signed_bits(bounds) <= 64:
            return f"((int64_t){self.bits(left, 0, 64)} {op} (int64_t){self.bits(right, 0, 64)})"
        width = self._precision(bounds)
        if op in ("==", "!="):
            words = [f"({self.bits(left, 64 * i, 64)} ^ {self.bits(right, 64 * i, 64)})" for i in range(limbs(width))]
            return f"(({' | '.join(words)}) {op} 0)"
        if bounds[0] >= 0 and bounds[1].bit_length() <= 128:
            return f"({self.u128(left, 128)} {op} {self.u128(right, 128)})"
        if width <= 128:
            return f"((kv_i128){self.u128(left, 128)} {op} (kv_i128){self.u128(right, 128)})"
        first, second = self.array(left, limbs(width) * 64), self.array(right, limbs(width) * 64)
        is_signed = "true" if bounds[0] < 0 else "false"
        return f"(kv_wide_compare({first}, {second}, {limbs(width)}, {is_signed}) {op} 0)"

    def _compare_varlen(self, op: str, left: model.Expr, right: model.Expr) -> str:
        if not (_is_varlen(left) and _is_varlen(right) and op in ("==", "!=")):
            raise self.unsupported("a variable-length field in this comparison")
        assert isinstance(left, model.FieldRef)
        assert isinstance(right, model.FieldRef)
        sides = [
            f"{self.layout.header(ref.header)}.{self.layout.field(self._type(ref.header), ref.decl)}"
            for ref in (left, right)
        ]
        equal = f"kv_varlen_equal({', '.join(f'{path}, {path}_bits' for path in sides)})"
        return equal if op == "==" else f"!{equal}"

    def _compare_headers(self, op: str, left: model.Expr, right: model.Expr) -> str:
        """BMv2: equal are two valid headers of one type with equal fields."""
        a, b = self.header(left), self.header(right)
        types = self.header_type(left), self.header_type(right)
        parts = [f"{a}->valid", f"{b}->valid"]
        if types[0].name != types[1].name:
            parts = ["false"]
        else:
            for decl in types[0].fields:
                member = self.layout.field(types[0], decl)
                if decl.varlen:
                    sides = ", ".join(f"{side}->{member}, {side}->{member}_bits" for side in (a, b))
                    parts.append(f"kv_varlen_equal({sides})")
                elif decl.width > 128:
                    parts.append(f"memcmp({a}->{member}, {b}->{member}, {limbs(decl.width) * 8}) == 0")
                else:
                    parts.append(f"{a}->{member} == {b}->{member}")
        equal = f"({' && '.join(parts)})"
        return equal if op == "==" else f"!{equal}"

    # -- headers

    def header_type(self, expr: model.Expr) -> model.HeaderType:
        match expr:
            case model.HeaderRef(header):
                return self._type(header)
            case model.StackElement(stack, _):
                return self.layout.program.stacks[stack].type
        raise self.unsupported("a choice between headers")

    def header(self, expr: model.Expr) -> str:
        """A C pointer to a header, for reading."""
        match expr:
            case model.HeaderRef(header):
                return f"(&{self.layout.header(header)})"
            case model.StackElement():
                return self.element(expr)
        raise self.unsupported("a choice between headers")

    def element(self, expr: model.StackElement) -> str:
        """A pointer to `stack[index]`, for reading; an index out of range reads zeros."""
        stack = self.layout.program.stacks[expr.stack]
        name = self.layout.type_name(stack.type)
        index = self.out.hoist(("index", id(expr)), "uint64_t", self.word(expr.index))
        value = f"{index} < {len(stack.headers)} ? &{self.layout.stack(stack.name)}[{index}] : &{self.layout.none(stack.type)}"
        return self.out.hoist(("element", id(expr)), f"struct {name} *", value)

    def _last(self, stack_name: str) -> str:
        stack = self.layout.program.stacks[stack_name]
        name = self.layout.type_name(stack.type)
        following = self.layout.next_index(stack_name)
        value = f"{following} ? &{self.layout.stack(stack_name)}[{following} - 1] : &{self.layout.none(stack.type)}"
        return self.out.temp(f"struct {name} *", value)


def _bitwise(op: str, left: Term, right: Term, count: int) -> Term:
    if left.value is not None and right.value is not None:
        value = {"&": left.value & right.value, "|": left.value | right.value, "^": left.value ^ right.value}[op]
        return literal(value)
    for one, other in ((left, right), (right, left)):
        if op == "&" and one.value == 0:
            return ZERO
        if op == "&" and one.value == ones(count):
            return other
        if op != "&" and one.value == 0:
            return other
    clean = (left.clean or right.clean) if op == "&" else (left.clean and right.clean)
    return Term(f"({left.text} {op} {right.text})", clean)


def _i128(value: int) -> str:
    """A C constant expression of type kv_i128."""
    raw = value & ones(128)
    return f"(kv_i128)kv_u128_of({raw >> 64:#x}ull, {raw & ones(64):#x}ull)"


def _is_varlen(expr: model.Expr) -> bool:
    return isinstance(expr, model.FieldRef) and expr.decl.varlen


def _is_header(expr: model.Expr) -> bool:
    return isinstance(expr, model.HeaderRef | model.StackElement)


def is_boolean(expr: model.Expr) -> bool:
    """Whether an expression yields a Boolean rather than a data value."""
    match expr:
        case model.BoolConst():
            return True
        case model.Unary(op, _):
            return op in ("not", "valid", "valid_union", "d2b")
        case model.Binary(op, _, _):
            return op in ("==", "!=", "<", "<=", ">", ">=", "and", "or")
        case model.Ternary(_, left, _):
            return is_boolean(left)
    return False
