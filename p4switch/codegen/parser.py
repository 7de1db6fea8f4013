"""The parser: one label for each state, one goto for each transition."""

from __future__ import annotations

from p4switch.bmv2 import model
from p4switch.codegen.calculations import Calculations
from p4switch.codegen.errors import UnsupportedError
from p4switch.codegen.expr import Expressions, literal, ones
from p4switch.codegen.headers import extract_fields, extract_varlen, set_valid, store
from p4switch.codegen.layout import Layout, Names
from p4switch.codegen.primitives import Place, write_primitive
from p4switch.codegen.writer import Writer

MAX_STATES_VISITED = 65536  # by one packet: a parser that consumes nothing must end too


class ParserCode:
    """Writes `kv_parse`: `p` is the position in the packet, `left` the bytes from there to its end."""

    def __init__(self, layout: Layout, calculations: Calculations, out: Writer) -> None:
        self.layout = layout
        self.program = layout.program
        self.calculations = calculations
        self.out = out
        names = Names()
        self.labels = {name: names.make("state_", name) for name in self.program.parser.states}

    def write(self) -> None:
        out, program = self.out, self.program
        with out.block("static inline void kv_parse(struct kv_ctx *ctx, struct kv_packet *packet, struct phv *h)"):
            out.line("uint8_t *p = packet->data;")
            out.line("uint32_t left = packet->length, visited = 0;")
            out.line(f"uint32_t error = {program.errors['NoError']};")
            out.line("(void)ctx, (void)visited;")
            if program.parser.init_state is not None:
                out.line(f"goto {self.labels[program.parser.init_state]};")
                for state in program.parser.states.values():
                    self._state(state)
            out.label("done")
            out.line("packet->data = p;")
            out.line("packet->length = left;")
            out.line("packet->parser_error = error;")
            if self.layout.traced:
                with out.block(f"if (error != {program.errors['NoError']})"):
                    self.layout.trace(out, "PARSER_ERROR", 0, "error")
            out.line("packet->checksum_error = false;")
            for checksum in program.checksums:
                if checksum.verify:
                    self._verify(checksum)
            if self.layout.traced:
                with out.block("if (packet->checksum_error)"):
                    self.layout.trace(out, "CHECKSUM_ERROR", 0, "1")
        out.line()

    def _verify(self, checksum: model.Checksum) -> None:
        out = self.out
        out.comment(checksum.source, f"checksum {checksum.name!r}")
        with out.block():
            code = Expressions(self.layout, out, f"checksum {checksum.name!r}")
            cond = f"{self.layout.header(checksum.target.header)}.valid"
            if checksum.cond is not None:
                cond = f"{cond} && {code.boolean(checksum.cond)}"
            with out.block(f"if ({cond})"):
                actual = code.bits(checksum.target, 0, min(64, checksum.target.decl.width))
                out.line(f"if ({self.calculations.call(checksum.calculation)} != {actual})")
                out.line("    packet->checksum_error = true;")

    def _error(self, name: str) -> None:
        self.out.line(f"error = {self.program.errors[name]}; /* {name} */")
        self.out.line("goto done;")

    def _goto(self, state: str | None) -> str:
        return f"goto {self.labels[state]};" if state is not None else "goto done;"

    def _state(self, state: model.ParseState) -> None:
        out = self.out
        out.label(self.labels[state.name])
        out.comment(state.source, f"state {state.name}")
        with out.block():
            self.layout.trace(out, "STATE", list(self.labels).index(state.name))
            with out.block(f"if (KV_UNLIKELY(++visited > {MAX_STATES_VISITED}))"):
                self._error("ParserTimeout")
            for op in state.ops:
                with out.block():
                    self._op(f"parser state {state.name!r}", op)
            self._select(state)

    # -- operations

    def _op(self, where: str, op: model.ParserOp) -> None:
        out = self.out
        code = Expressions(self.layout, out, where)
        match op:
            case model.Extract(name):
                self._extract(code, self.program.headers[name].type, self.layout.header(name))
                set_valid(code, self.program.headers[name], True)
            case model.ExtractStack(stack):
                path = self._next_of_stack(stack)
                self._extract(code, self.program.stacks[stack].type, path)
                out.line(f"{path}.valid = 1;")
                out.line(f"{self.layout.next_index(stack)}++;")
            case model.ExtractUnionStack(stack, headers, bits):
                self._extract_union(code, stack, headers, bits)
            case model.ExtractVarlen(target, stack, bits):
                if stack:
                    path = self._next_of_stack(target)
                    self._extract_varlen(code, self.program.stacks[target].type, path, bits)
                    out.line(f"{path}.valid = 1;")
                    out.line(f"{self.layout.next_index(target)}++;")
                else:
                    header = self.program.headers[target]
                    self._extract_varlen(code, header.type, self.layout.header(target), bits)
                    set_valid(code, header, True)
            case model.SetField(target, value):
                self._lookahead_check(value)
                path = (
                    f"{self.layout.header(target.header)}."
                    f"{self.layout.field(self.program.headers[target.header].type, target.decl)}"
                )
                store(code, path, target.decl, value)
            case model.Verify(cond, error):
                with out.block(f"if (!{code.boolean(cond)})"):
                    out.line(f"error = (uint32_t){code.bits(error, 0, 32)};")
                    out.line("goto done;")
            case model.Advance(bits):
                amount = out.temp("uint64_t", code.word(bits))
                with out.block(f"if ({amount} % 8)"):
                    self._error("ParserInvalidArgument")
                with out.block(f"if (left < {amount} / 8)"):
                    self._error("PacketTooShort")
                out.line(f"p += {amount} / 8;")
                out.line(f"left -= (uint32_t)({amount} / 8);")
            case model.Call(primitive):
                out.comment(primitive.source)
                write_primitive(Place(self.layout, self.calculations, where), out, primitive)

    def _next_of_stack(self, stack: str) -> str:
        following = self.layout.next_index(stack)
        with self.out.block(f"if ({following} >= {len(self.program.stacks[stack].headers)})"):
            self._error("StackOutOfBounds")
        return f"{self.layout.stack(stack)}[{following}]"

    def _extract(self, code: Expressions, header_type: model.HeaderType, path: str) -> None:
        size = header_type.fixed_bits // 8
        with self.out.block(f"if (KV_UNLIKELY(left < {size}))"):
            self._error("PacketTooShort")
        extract_fields(code, header_type, path, "p")
        self.out.line(f"p += {size};")
        self.out.line(f"left -= {size};")

    def _extract_union(self, code: Expressions, stack: str, headers: tuple[str, ...], bits: model.Expr | None) -> None:
        """Into the next union of a stack: which header that is, is known at run time only."""
        following = self.layout.next_index(stack)
        with self.out.block(f"switch ({following})"):
            for index, name in enumerate(headers):
                self.out.line(f"case {index}:")
                with self.out.block():
                    header_type, path = self.program.headers[name].type, self.layout.header(name)
                    if bits is None:
                        self._extract(code, header_type, path)
                    else:
                        self._extract_varlen(code, header_type, path, bits)
                    set_valid(code, self.program.headers[name], True)
                    self.out.line("break;")
            self.out.line("default:")
            with self.out.block():
                self._error("StackOutOfBounds")
        self.out.line(f"{following}++;")

    def _extract_varlen(self, code: Expressions, header_type: model.HeaderType, path: str, bits: model.Expr) -> None:
        out = self.out
        varlen = header_type.varlen
        assert varlen is not None
        fixed = header_type.fixed_bits // 8
        with out.block(f"if (left < {fixed})"):
            self._error("PacketTooShort")
        length = out.temp("uint32_t", f"(uint32_t){code.bits(bits, 0, 32)}")
        with out.block(f"if ({length} % 8)"):
            self._error("ParserInvalidArgument")
        with out.block(f"if (left - {fixed} < {length} / 8)"):
            self._error("PacketTooShort")
        with out.block(f"if ({length} > {varlen.width})"):
            self._error("HeaderTooShort")
        size = out.temp("uint32_t", extract_varlen(code, header_type, path, "p", length))
        out.line(f"p += {size};")
        out.line(f"left -= {size};")

    def _lookahead_check(self, value: model.Expr) -> None:
        if isinstance(value, model.Lookahead):
            with self.out.block(f"if (left < {(value.offset + value.width + 7) // 8})"):
                self._error("PacketTooShort")

    # -- transitions

    def _select(self, state: model.ParseState) -> None:
        out = self.out
        code = Expressions(self.layout, out, f"parser state {state.name!r}")
        widths: list[int] = []
        keys: list[list[str]] = []  # 64-bit words of each field, least significant first
        for item in state.key:
            self._lookahead_check(item)
            match item:
                case model.FieldRef(_, decl) | model.StackFieldRef(_, decl) | model.UnionStackFieldRef(_, _, decl):
                    width = decl.width
                    raw: model.Expr = item
                case model.Lookahead(_, width):
                    raw = item
                case _:
                    raise UnsupportedError(f"parser state {state.name!r}", "this kind of key is not supported")
            widths.append(width)
            keys.append(
                [out.temp("uint64_t", code.bits(raw, low, min(64, width - low))) for low in range(0, width, 64)]
            )
        for case in state.cases:
            if case.value_set is not None:
                cond = self._value_set(state, case, widths, keys)
            else:
                cond = _match(case, widths, keys)
            out.line(f"if ({cond})")
            out.line(f"    {self._goto(case.next_state)}")
        out.line(self._goto(state.default))

    def _value_set(self, state: model.ParseState, case: model.Case, widths: list[int], keys: list[list[str]]) -> str:
        assert case.value_set is not None
        number = list(self.program.value_sets).index(case.value_set)
        size = sum((width + 7) // 8 for width in widths)
        name = self.out.fresh()
        parts: list[str] = []
        masks = iter(case.mask if case.mask is not None else b"\xff" * size)  # of the key, which must then be a member
        for width, words in zip(widths, keys, strict=True):
            for byte in range((width + 7) // 8 - 1, -1, -1):
                shift, mask = byte % 8 * 8, next(masks)
                text = f"(uint8_t)({words[byte // 8]} >> {shift})"
                parts.append(text if mask == 0xFF else f"{text} & {mask:#x}")
        self.out.line(f"const uint8_t {name}[{size}] = {{{', '.join(parts)}}};")
        return f"kv_value_set_contains(&ctx->pipeline->value_sets[{number}], {name}, {size})"


def _match(case: model.Case, widths: list[int], keys: list[list[str]]) -> str:
    parts: list[str] = []
    position = 0
    for width, words in zip(widths, keys, strict=True):
        size = (width + 7) // 8
        value = int.from_bytes(case.value[position : position + size], "big")
        mask = ones(width)
        if case.mask is not None:
            mask = int.from_bytes(case.mask[position : position + size], "big")
        position += size
        if value & mask & ~ones(width):
            return "false"
        for i, word in enumerate(words):
            word_mask = (mask >> (64 * i)) & ones(min(64, width - 64 * i))
            wanted = (value >> (64 * i)) & word_mask
            if word_mask == ones(min(64, width - 64 * i)):
                parts.append(f"{word} == {literal(wanted).text}")
            elif word_mask:
                parts.append(f"({word} & {literal(word_mask).text}) == {literal(wanted).text}")
    return " && ".join(parts) if parts else "true"
