"""Header types and instances, stacks, unions, and the `scalars` that hold the variables."""

from __future__ import annotations

from p4compiler.backends.bmv2 import document as doc
from p4compiler.backends.bmv2.context import Context
from p4compiler.backends.bmv2.expressions import SCALARS, VARBIT_FIELD
from p4compiler.ir.storage import Header, HeaderLayout, HeaderStack, HeaderUnion, UnionLayout
from p4compiler.ir.types import Bits, Varbit, width_of

PADDING = "_padding"


def generate_headers(context: Context) -> None:
    """Everything of the document that says where values live."""
    generator = _Headers(context)
    generator.scalars()
    for header in context.program.storage.headers:
        generator.header(header)
    for union in context.program.storage.unions:
        generator.union(union)
    for stack in context.program.storage.stacks:
        generator.stack(stack)
    context.document.errors = [(name, code) for code, name in enumerate(context.program.errors)]
    context.document.enums = [
        doc.EnumDefinition(enum.name, [(member, value) for value, member in enumerate(enum.members)])
        for enum in context.program.enums
    ]


class _Headers:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._document = context.document
        self._layouts: set[HeaderLayout | UnionLayout] = set()
        self._known: dict[Header, int] = {}

    def scalars(self) -> None:
        """All variables as the fields of one metadata header; each varbit has an instance of its own."""
        fields: list[tuple[str, int | str, bool]] = []
        width = 0
        type_name = f"{SCALARS}_0"
        scalars = doc.HeaderType(type_name, self._context.next_id("header_types"), fields)
        self._document.header_types.append(scalars)
        self._instance(SCALARS, type_name, metadata=True)
        varbit_types: set[int] = set()
        for variable in self._context.program.storage.variables:
            if isinstance(variable.type, Varbit):
                self._varbit(variable.name, variable.type.max_width, varbit_types)
                continue
            fields.append((variable.name, width_of(variable.type), _is_signed(variable.type)))
            width += width_of(variable.type)
        if width % 8:
            fields.append((PADDING, 8 - width % 8, False))

    def _varbit(self, name: str, max_width: int, known: set[int]) -> None:
        type_name = f"$varbit{max_width}"
        if max_width not in known:
            known.add(max_width)
            self._document.header_types.append(
                doc.HeaderType(
                    type_name, self._context.next_id("header_types"), [(VARBIT_FIELD, "*", False)], (max_width + 7) // 8
                )
            )
        self._instance(name, type_name, metadata=True)

    def header(self, header: Header) -> int:
        """The id of the instance; the members of a union may also be elements of a stack."""
        known = self._known.get(header)
        if known is None:
            self._layout(header.layout, header.is_metadata)
            known = self._instance(header.name, header.layout.name, header.is_metadata)
            self._known[header] = known
        return known

    def _instance(self, name: str, type_name: str, metadata: bool) -> int:
        number = self._context.next_id("headers")
        self._document.headers.append(doc.HeaderInstance(name, number, type_name, metadata))
        return number

    def _layout(self, layout: HeaderLayout, is_metadata: bool) -> None:
        if layout in self._layouts:
            return
        self._layouts.add(layout)
        fields: list[tuple[str, int | str, bool]] = []
        for field in layout.fields:
            width = "*" if isinstance(field.type, Varbit) else width_of(field.type)
            fields.append((field.name, width, _is_signed(field.type)))
            if field.alias is not None:
                self._document.field_aliases.append((field.alias, (layout.name, field.name)))
        if sum(isinstance(field.type, Varbit) for field in layout.fields) > 1:
            self._context.unsupported(f"header '{layout.name}' has more than one varbit field", layout.span)
        odd = layout.width % 8
        if odd and is_metadata:
            fields.append((PADDING, 8 - odd, False))
        elif odd:
            self._context.unsupported(
                f"the fields of header '{layout.name}' are {layout.width} bits together;"
                " BMv2 needs a multiple of 8 bits",
                layout.span,
            )
        max_length = (layout.width + 7) // 8 if layout.has_varbit else None
        self._document.header_types.append(
            doc.HeaderType(layout.name, self._context.next_id("header_types"), fields, max_length)
        )

    def union(self, union: HeaderUnion) -> int:
        layout = union.layout
        if layout not in self._layouts:
            self._layouts.add(layout)
            members = [(name, member.name) for name, member in layout.members]
            for _, member in layout.members:
                self._layout(member, is_metadata=False)
            self._document.header_union_types.append(
                doc.HeaderUnionType(layout.name, self._context.next_id("header_union_types"), members)
            )
        ids = [self.header(member) for member in union.members]
        number = self._context.next_id("header_unions")
        self._document.header_unions.append(doc.HeaderUnion(union.name, number, layout.name, ids))
        return number

    def stack(self, stack: HeaderStack) -> None:
        ids = [self.union(e) if isinstance(e, HeaderUnion) else self.header(e) for e in stack.elements]
        if stack.is_of_unions:
            number = self._context.next_id("header_union_stacks")
            self._document.header_union_stacks.append(
                doc.HeaderUnionStack(stack.name, number, stack.layout.name, len(ids), ids)
            )
        else:
            number = self._context.next_id("header_stacks")
            self._document.header_stacks.append(doc.HeaderStack(stack.name, number, stack.layout.name, len(ids), ids))


def _is_signed(type_: object) -> bool:
    # A signed field of one bit is refused by BMv2; it holds 0 or -1 either way, read back through its sign.
    return isinstance(type_, Bits) and type_.signed and type_.width > 1
