"""C that moves headers: from the packet into fields, from fields into the packet, from field to field."""

from __future__ import annotations

from collections.abc import Sequence

from p4switch.bmv2 import model
from p4switch.codegen.expr import Expressions, Term, literal, ones
from p4switch.codegen.layout import ctype, limbs, storage_bits


def extract_fields(code: Expressions, header_type: model.HeaderType, target: str, pointer: str) -> None:
    """Fields of a fixed-length header from the bytes at C pointer `pointer`; `target` is the header's path."""
    position = 0
    for decl in header_type.fields:
        _extract_field(code, header_type, decl, target, pointer, position)
        position += decl.width


def _extract_field(
    code: Expressions, header_type: model.HeaderType, decl: model.FieldDecl, target: str, pointer: str, position: int
) -> None:
    path = f"{target}.{code.layout.field(header_type, decl)}"
    if decl.width <= 64:
        term = code.packet_bits(pointer, position, decl.width)
        code.out.line(f"{path} = {_fit(term, decl.width)};")
        return
    words = []
    for i in range(limbs(decl.width)):
        count = min(64, decl.width - 64 * i)
        term = code.packet_bits(pointer, position + decl.width - 64 * i - count, count)
        words.append(term.text if term.clean or count == 64 else f"({term.text} & {literal(ones(count)).text})")
    if decl.width <= 128:
        code.out.line(f"{path} = kv_u128_of({words[1]}, {words[0]});")
    else:
        for i, word in enumerate(words):
            code.out.line(f"{path}[{i}] = {word};")


def _fit(term: Term, width: int) -> str:
    """C that stores `term` in a field of `width` <= 64 bits: masked, unless the type does it."""
    if term.clean or storage_bits(width) == width:
        return f"({ctype(width)}){term.text}"
    return f"({ctype(width)})({term.text} & {literal(ones(width)).text})"


def extract_varlen(code: Expressions, header_type: model.HeaderType, target: str, pointer: str, bits: str) -> str:
    """As `extract_fields` with a variable-length field of C value `bits`. Returns C for the header's length in bytes."""
    position = 0
    behind = pointer
    for decl in header_type.fields:
        if decl.varlen:
            path = f"{target}.{code.layout.field(header_type, decl)}"
            code.out.line(f"{path}_bits = (uint32_t){bits};")
            if position % 8:
                code.out.line(f"kv_get_bytes({pointer}, {position}, {path}, {bits} / 8);")
            else:
                code.out.line(f"memcpy({path}, {pointer} + {position // 8}, {bits} / 8);")
            behind = code.out.temp("uint8_t *", f"{pointer} + {position // 8} + {bits} / 8")
            position %= 8
        else:
            _extract_field(code, header_type, decl, target, behind, position)
            position += decl.width
    return f"{header_type.fixed_bits // 8} + {bits} / 8"


def header_bytes(code: Expressions, header_type: model.HeaderType, target: str) -> str:
    """C for the bytes that a header takes in the packet now."""
    varlen = header_type.varlen
    if varlen is None:
        return str(header_type.fixed_bits // 8)
    return f"({header_type.fixed_bits // 8} + {target}.{code.layout.field(header_type, varlen)}_bits / 8)"


Piece = tuple[model.Expr, int]


def store_pieces(code: Expressions, pieces: Sequence[Piece], pointer: str) -> int:
    """Writes the concatenation of `pieces` (value, width), first the most significant, at C pointer `pointer`.

    The last byte is padded with zeros on the right. Returns the number of bytes.
    """
    total = sum(width for _, width in pieces)
    size = (total + 7) // 8
    byte = 0
    while byte < size:
        chunk = next(step for step in (8, 4, 2, 1) if byte + step <= size)
        text = gather(code, pieces, byte * 8, chunk * 8)
        at = f"{pointer} + {byte}" if byte else pointer
        if chunk == 1:
            code.out.line(f"{pointer}[{byte}] = (uint8_t){text};")
        else:
            code.out.line(f"kv_store{chunk * 8}({at}, {text});")
        byte += chunk
    return size


def gather(code: Expressions, pieces: Sequence[Piece], start: int, count: int) -> str:
    """C for `count` <= 64 bits from bit `start` of the concatenation of `pieces`; zeros behind its end."""
    parts: list[str] = []
    position = 0
    for value, width in pieces:
        first, last = max(position, start), min(position + width, start + count)
        if first < last:
            bits = code.bits(value, position + width - last, last - first)
            shift = start + count - last
            if bits != literal(0).text:
                parts.append(f"({bits} << {shift})" if shift else bits)
        position += width
    if not parts:
        return literal(0).text
    return parts[0] if len(parts) == 1 else f"({' | '.join(parts)})"


def emit_header(code: Expressions, header: model.Header, pointer: str) -> None:
    """Writes a valid header at C variable `pointer`, and moves it behind."""
    target = code.layout.header(header.name)
    pieces: list[Piece] = []
    if header.type.varlen is not None and header.type.varlen_position % 8:
        _emit_bit_by_bit(code, header, pointer)
        return

    def flush() -> None:
        if pieces:
            size = store_pieces(code, pieces, pointer)
            code.out.line(f"{pointer} += {size};")
            pieces.clear()

    for decl in header.type.fields:
        if decl.varlen:
            flush()
            path = f"{target}.{code.layout.field(header.type, decl)}"
            code.out.line(f"memcpy({pointer}, {path}, {path}_bits / 8);")
            code.out.line(f"{pointer} += {path}_bits / 8;")
        else:
            pieces.append((_unsigned(model.FieldRef(header.name, decl)), decl.width))
    flush()


def _emit_bit_by_bit(code: Expressions, header: model.Header, pointer: str) -> None:
    """As `emit_header`, for a variable-length field that starts within a byte."""
    target = code.layout.header(header.name)
    with code.out.block():
        code.out.line("uint32_t position = 0;")
        for decl in header.type.fields:
            if decl.varlen:
                path = f"{target}.{code.layout.field(header.type, decl)}"
                code.out.line(f"kv_put_bytes({pointer}, &position, {path}, {path}_bits / 8);")
            else:
                put_bits(code, _unsigned(model.FieldRef(header.name, decl)), decl.width, pointer)
        code.out.line(f"{pointer} += position / 8;")


def put_bits(code: Expressions, value: model.Expr, width: int, buffer: str) -> None:
    """Writes a value at bit `position`, a C variable, of the C pointer `buffer`."""
    for low in range((width - 1) // 64 * 64, -1, -64):
        count = min(64, width - low)
        code.out.line(f"kv_put_bits({buffer}, &position, {code.bits(value, low, count)}, {count});")


def _unsigned(ref: model.FieldRef) -> model.FieldRef:
    """The bits of a field, its sign apart."""
    decl = ref.decl
    return model.FieldRef(ref.header, model.FieldDecl(decl.name, decl.width)) if decl.signed else ref


def narrow(code: Expressions, value: model.Expr, width: int) -> str:
    """C for the lowest `width` <= 64 bits of a value, of the type that a field of that width has."""
    return _fit(code.term(value, 0, width), width)


def store(code: Expressions, path: str, decl: model.FieldDecl, value: model.Expr) -> None:
    """Assigns to a field what fits of `value`."""
    if decl.varlen:
        raise code.unsupported(f"assignment to the variable-length field {decl.name!r}")
    width = decl.width
    if decl.saturating:  # what does not fit becomes the nearest value that does
        value = model.Binary("sat_cast" if decl.signed else "usat_cast", value, model.Const(width))
    if width <= 64:
        code.out.line(f"{path} = {narrow(code, value, width)};")
    elif width <= 128:
        text = code.u128(value, width)
        if width < 128:
            text = f"({text} & {_mask128(width)})"
        code.out.line(f"{path} = {text};")
    else:
        source = code.array(value, width)
        count = limbs(width)
        for i in range(count):
            top = width - 64 * (count - 1)
            mask = f" & {literal(ones(top)).text}" if i == count - 1 and top < 64 else ""
            code.out.line(f"{path}[{i}] = {source}[{i}]{mask};")


def _mask128(width: int) -> str:
    return f"kv_u128_of({ones(width - 64):#x}ull, ~0ull)"


def copy_field(
    code: Expressions, header_type: model.HeaderType, decl: model.FieldDecl, target: str, source: str
) -> None:
    """Copies a field between two headers (C paths) of one type."""
    member = code.layout.field(header_type, decl)
    if decl.varlen:
        code.out.line(f"{target}.{member}_bits = {source}.{member}_bits;")
        code.out.line(f"memcpy({target}.{member}, {source}.{member}, sizeof {target}.{member});")
    elif decl.width > 128:
        code.out.line(f"memcpy({target}.{member}, {source}.{member}, sizeof {target}.{member});")
    else:
        code.out.line(f"{target}.{member} = {source}.{member};")


def set_valid(code: Expressions, header: model.Header, valid: bool) -> None:
    """Changes a header's validity; one member of a union becoming valid makes the others invalid."""
    if valid and header.union is not None:
        for other in code.layout.program.unions[header.union].headers:
            code.out.line(f"{code.layout.header(other)}.valid = 0;")
    code.out.line(f"{code.layout.header(header.name)}.valid = {int(valid)};")


def invalidate_siblings(code: Expressions, stack: model.HeaderStack, at: str, condition: str = "1") -> None:
    """`stack[at]` becomes valid if the condition holds: the other members of a union that it is in become invalid."""
    program = code.layout.program
    for index, name in enumerate(stack.headers):
        union = program.headers[name].union
        if union is not None:
            with code.out.block(f"if ({at} == {index} && {condition})"):
                for other in program.unions[union].headers:
                    if other != name:
                        code.out.line(f"{code.layout.header(other)}.valid = 0;")
