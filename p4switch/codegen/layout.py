"""How headers and metadata lie in C: `struct phv`, one struct for each header type, natural widths for fields.

A field of up to 64 bits is the smallest unsigned type that holds it, up to 128 bits an unsigned __int128, wider an array
of 64-bit words, least significant first. Values are kept without bits above the field's width; a signed field holds its
two's complement. A variable-length field is an array of bytes as on the wire, with its current length in bits.
"""

from __future__ import annotations

import re

from p4switch.bmv2.model import FieldDecl, HeaderType, Program
from p4switch.codegen.writer import Writer


class Names:
    """Unique C identifiers for P4 names, which may hold any characters."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def make(self, prefix: str, name: str) -> str:
        base = candidate = prefix + re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")
        number = 1
        while candidate in self._used:
            number += 1
            candidate = f"{base}_{number}"
        self._used.add(candidate)
        return candidate


def storage_bits(width: int) -> int:
    """Bits of the C object that holds a field of `width` bits."""
    for bits in (8, 16, 32, 64, 128):
        if width <= bits:
            return bits
    return limbs(width) * 64


def limbs(width: int) -> int:
    return (width + 63) // 64


def ctype(width: int) -> str:
    """The C type of a field of up to 128 bits."""
    bits = storage_bits(width)
    return "kv_u128" if bits == 128 else f"uint{bits}_t"


class Layout:
    """Names and paths of everything in `struct phv`, which the code calls `h`."""

    def __init__(self, program: Program, *, traced: bool = False) -> None:
        self.program = program
        self.traced = traced  # the code is to tell what happens to each packet
        names = Names()
        self._types: dict[str, HeaderType] = {}
        self._type_names: dict[str, str] = {}
        self._fields: dict[tuple[str, str], str] = {}
        for header in program.headers.values():
            if header.type.name not in self._types:
                self._types[header.type.name] = header.type
                self._type_names[header.type.name] = names.make("type_", header.type.name)
                inside = Names()
                inside.make("", "valid")
                for field in header.type.fields:
                    self._fields[header.type.name, field.name] = inside.make("f_", field.name)
        self._stacks = {name: names.make("stack_", name) for name in program.stacks}
        self._stacks |= {name: names.make("stack_", name) for name in program.union_stacks}
        self._headers: dict[str, str] = {}
        for header in program.headers.values():
            if header.stack is not None:
                self._headers[header.name] = f"{self._stacks[header.stack]}[{header.index}]"
            else:
                self._headers[header.name] = names.make("h_", header.name)

    def trace(self, out: Writer, kind: str, number: int, *values: str) -> None:
        """A record of what happens here (trace.h); nothing in code that is not traced."""
        if self.traced:
            out.line(f"KV_TRACE({', '.join([f'KV_TRACE_{kind}', str(number), *values])});")

    def type_name(self, header_type: HeaderType) -> str:
        return self._type_names[header_type.name]

    def header(self, name: str) -> str:
        """Path of a header instance."""
        return f"h->{self._headers[name]}"

    def stack(self, name: str) -> str:
        return f"h->{self._stacks[name]}"

    def next_index(self, stack: str) -> str:
        """Path of the number of headers in a stack."""
        return f"h->{self._stacks[stack]}_next"

    def field(self, header_type: HeaderType, decl: FieldDecl) -> str:
        """Member name of a field."""
        return "valid" if decl.name == "$valid$" else self._fields[header_type.name, decl.name]

    def none(self, header_type: HeaderType) -> str:
        """The all-zero header that a stack index out of range reads."""
        return f"{self.type_name(header_type)}_none"

    def write(self, out: Writer) -> None:
        """The struct declarations."""
        for header_type in self._types.values():
            name = self.type_name(header_type)
            with out.block(f"struct {name}"):
                for decl in sorted(header_type.fields, key=lambda decl: -storage_bits(decl.width)):
                    member = self.field(header_type, decl)
                    if decl.varlen:
                        out.line(f"uint32_t {member}_bits; /* length of {_quote(decl.name)} */")
                        out.line(f"uint8_t {member}[{(decl.width + 7) // 8 + 8}];")
                    elif decl.width > 128:
                        out.line(
                            f"uint64_t {member}[{limbs(decl.width)}]; /* {_quote(decl.name)}: {decl.width} bits */"
                        )
                    else:
                        out.line(f"{ctype(decl.width)} {member}; /* {_quote(decl.name)}: {decl.width} bits */")
                out.line("uint8_t valid;")
            self._close(out)
            out.line(f"static const struct {name} {self.none(header_type)};")
            out.line()
        with out.block("struct phv"):
            for header in self.program.headers.values():
                if header.stack is None:
                    out.line(f"struct {self.type_name(header.type)} {self._headers[header.name]};")
            for stack in self.program.stacks.values():
                name = self._stacks[stack.name]
                out.line(f"struct {self.type_name(stack.type)} {name}[{len(stack.headers)}];")
                out.line(f"uint32_t {name}_next;")
            for union_stack in self.program.union_stacks:
                out.line(f"uint32_t {self._stacks[union_stack]}_next;")
            out.line("uint8_t nothing;")
        self._close(out)
        out.line()

    @staticmethod
    def _close(out: Writer) -> None:
        out.line(";")


def _quote(name: str) -> str:
    return name.replace("*/", "* /").encode("ascii", "replace").decode()
