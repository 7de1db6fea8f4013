"""P4's types to the IR's: scalars, header layouts, and the control plane's data types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

from p4compiler.diagnostics import Diagnostics, Kind, Note
from p4compiler.ir import data_types as dt
from p4compiler.ir.storage import HeaderField, HeaderLayout, UnionLayout
from p4compiler.ir.types import ERROR, TEXT, Bits, Boolean, Type, Varbit
from p4compiler.lowering.annotations import (
    external_name,
    get_annotation,
    has_annotation,
    lower_annotations,
    number_of,
    string_argument,
)
from p4compiler.lowering.errors import Abandoned
from p4compiler.source import Span
from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.checked import CheckedProgram

INTEGER_WIDTH = 64
"""A compile-time `int` that meets no sized type (a shift amount, an index) is kept in so many bits, or more if it needs."""


def joined(outer: str, inner: str) -> str:
    """The name of a part of a structure."""
    return f"{outer}.{inner}" if outer else inner


class TypeLowering:
    """Everything about types that the lowering asks. Results are cached by type."""

    def __init__(self, checked: CheckedProgram, diagnostics: Diagnostics) -> None:
        self._checked = checked
        self._diagnostics = diagnostics
        self._layouts: dict[model.Type, HeaderLayout] = {}
        self._unions: dict[model.Type, UnionLayout] = {}
        self._fields: dict[model.StructLikeType, tuple[model.FieldType, ...]] = {}
        self._data: dict[model.Type, dt.DataType] = {}
        self._offsets: dict[model.Type, dict[str, tuple[int, model.Type]]] = {}

    def refused(
        self, message: str, span: Span, kind: Kind = Kind.UNSUPPORTED_ON_TARGET, notes: Sequence[Note] = ()
    ) -> Abandoned:
        """Report that a type is not supported; to be raised."""
        self._diagnostics.error(kind, message, span, notes)
        return Abandoned(message)

    # -- structure

    def fields(self, type_: model.StructLikeType) -> tuple[model.FieldType, ...]:
        """The fields with type arguments put in."""
        found = self._checked.fields_of.get(type_) or self._fields.get(type_)
        if found is None:
            declaration = type_.declaration
            assert isinstance(declaration, ast.StructDeclaration | ast.HeaderDeclaration | ast.HeaderUnionDeclaration)
            environment = dict(zip(declaration.type_parameters, type_.arguments, strict=True))
            found = tuple(
                model.FieldType(
                    field.name.text, model.substitute(self._checked.resolved_type_of[field], environment), field
                )
                for field in declaration.fields
            )
            self._fields[type_] = found
        return found

    def members(self, type_: model.Type) -> list[tuple[str, model.Type]]:
        """Name and type of each part of a structure, tuple or array."""
        if isinstance(type_, model.TupleType):
            return [(str(index), element) for index, element in enumerate(type_.elements)]
        if isinstance(type_, model.AnonymousStructType):
            return [(field.name, field.type) for field in type_.fields]
        if isinstance(type_, model.StackType):
            return [(str(index), type_.element) for index in range(type_.size)]
        assert isinstance(type_, model.StructLikeType)
        return [(field.name, field.type) for field in self.fields(type_)]

    def resolve(self, type_: model.Type) -> model.Type:
        """Without new types: what it is made of."""
        while isinstance(type_, model.NewType):
            type_ = type_.underlying
        return type_

    def is_array(self, type_: model.Type) -> TypeGuard[model.StackType]:
        """An array of anything but headers and unions, which is taken apart like a tuple; the others are stacks."""
        return isinstance(type_, model.StackType) and not isinstance(
            self.resolve(type_.element), model.HeaderType | model.HeaderUnionType
        )

    def holds_headers(self, type_: model.Type) -> bool:
        """A header, union or stack is a part of the type."""
        resolved = self.resolve(type_)
        match resolved:
            case model.HeaderType() | model.HeaderUnionType():
                return True
            case model.StackType(element=element):
                return self.holds_headers(element)
            case model.StructType() | model.TupleType():
                return any(self.holds_headers(member) for _, member in self.members(resolved))
        return False

    # -- scalars

    def scalar(self, type_: model.Type) -> Type | None:
        """The IR's type, or None for a type that is no scalar."""
        match self.resolve(type_):
            case model.BitsType(width=width, signed=signed):
                return Bits(width, signed)
            case model.BoolType():
                return Boolean()
            case model.VarbitType(max_width=width):
                return Varbit(width)
            case model.ErrorType():
                return ERROR
            case model.EnumType(underlying=underlying):
                return ERROR if underlying is None else self.scalar(underlying)
            case model.InfIntType():
                return Bits(INTEGER_WIDTH, signed=True)
            case model.StringType():
                return TEXT
        return None

    def width(self, type_: model.Type) -> int:
        """Bits of a value, structures included."""
        resolved = self.resolve(type_)
        match resolved:
            case model.StructLikeType() | model.TupleType():
                return sum(self.width(member) for _, member in self.members(resolved))
            case model.StackType(element=element, size=size):
                return size * self.width(element)
        match self.scalar(resolved):
            case Bits(width=width) | Varbit(max_width=width):
                return width
            case Boolean():
                return 1
        return 0

    # -- headers

    def header_layout(self, type_: model.HeaderType) -> HeaderLayout:
        """A header's fields; those of structures and arrays in it are flattened to `outer.inner` and `outer[0]`."""
        found = self._layouts.get(type_)
        if found is None:
            fields = tuple(self._flatten(type_, "", type_.declaration.name.span))
            found = HeaderLayout(type_.declaration.span, self._type_name(type_), fields)
            self._layouts[type_] = found
        return found

    def _type_name(self, type_: model.StructLikeType) -> str:
        name = external_name(type_.declaration).removeprefix(".")
        return f"{name}<{', '.join(map(str, type_.arguments))}>" if type_.arguments else name

    def _flatten(self, type_: model.Type, prefix: str, span: Span) -> list[HeaderField]:
        """The scalars of a header, or of a structure or array in it; `span` is where that is, for an error."""
        result: list[HeaderField] = []
        declared = (
            {field.name: field.declaration for field in self.fields(type_)}
            if isinstance(type_, model.StructLikeType)
            else {}
        )
        for name, member in self.members(type_):
            declaration = declared.get(name)
            place = span if declaration is None else declaration.span
            resolved = self.resolve(member)
            scalar = self.scalar(resolved)
            full_name = f"{prefix}[{name}]" if isinstance(type_, model.StackType) else joined(prefix, name)
            if scalar is not None:
                result.append(HeaderField(full_name, scalar))
            elif isinstance(resolved, model.StructLikeType | model.TupleType) or self.is_array(resolved):
                result += self._flatten(resolved, full_name, place)
            else:
                raise self.refused(f"a header cannot hold a field of type {member} on this target", place)
        return result

    def field_offset(self, type_: model.Type, name: str) -> tuple[int, model.Type]:
        """Of a field of a header, or of a structure in one: the index of its first scalar, and its type."""
        offsets = self._offsets.get(type_)
        if offsets is None:
            offsets = {}
            index = 0
            for member_name, member in self.members(type_):
                offsets[member_name] = (index, member)
                index += self.scalar_count(member)
            self._offsets[type_] = offsets
        return offsets[name]

    def scalar_count(self, type_: model.Type) -> int:
        resolved = self.resolve(type_)
        if isinstance(resolved, model.StructType | model.TupleType):
            return sum(self.scalar_count(member) for _, member in self.members(resolved))
        if self.is_array(resolved):
            return resolved.size * self.scalar_count(resolved.element)
        return 1

    def union_layout(self, type_: model.HeaderUnionType) -> UnionLayout:
        found = self._unions.get(type_)
        if found is None:
            members = []
            for name, member in self.members(type_):
                assert isinstance(member, model.HeaderType)
                members.append((name, self.header_layout(member)))
            found = UnionLayout(type_.declaration.span, self._type_name(type_), tuple(members))
            self._unions[type_] = found
        return found

    # -- the control plane's view

    def data_type(self, type_: model.Type) -> dt.DataType:
        found = self._data.get(type_)
        if found is None:
            found = self._data[type_] = self._make_data_type(type_)
        return found

    def _make_data_type(self, type_: model.Type) -> dt.DataType:
        match type_:
            case model.BitsType(width=width, signed=signed):
                return dt.BitsData(width, signed)
            case model.BoolType():
                return dt.BoolData()
            case model.VarbitType(max_width=width):
                return dt.VarbitData(width)
            case model.ErrorType():
                return dt.ErrorData(tuple(self._checked.errors))
            case model.TupleType(elements=elements):
                return dt.TupleData(tuple(self.data_type(element) for element in elements))
            case model.ListType(element=element):
                return dt.TupleData((self.data_type(element),))
            case model.StructType():
                return dt.StructData(self._type_name(type_), self._data_members(type_))
            case model.HeaderType():
                return dt.HeaderData(self._type_name(type_), self._header_data(type_, ""))
            case model.HeaderUnionType():
                return dt.HeaderUnionData(self._type_name(type_), self._data_members(type_))
            case model.StackType(element=element, size=size):
                inner = self.data_type(element)
                if isinstance(inner, dt.HeaderData | dt.HeaderUnionData):
                    return dt.StackData(inner, size)
                return dt.TupleData((inner,) * size)  # P4Runtime knows no arrays of anything else
            case model.EnumType():
                return self._enum_data(type_)
            case model.NewType():
                return self._new_type(type_)
        return dt.BitsData(INTEGER_WIDTH)

    def _data_members(self, type_: model.StructLikeType) -> tuple[dt.DataMember, ...]:
        return tuple(
            dt.DataMember(self._member_name(field), self.data_type(field.type)) for field in self.fields(type_)
        )

    def _member_name(self, field: model.FieldType) -> str:
        return external_name(field.declaration).removeprefix(".") if field.declaration is not None else field.name

    def _header_data(self, type_: model.StructLikeType, prefix: str) -> tuple[dt.DataMember, ...]:
        result: list[dt.DataMember] = []
        for field in self.fields(type_):
            result += self._header_member(field.type, prefix + self._member_name(field))
        return tuple(result)

    def _header_member(self, type_: model.Type, name: str) -> tuple[dt.DataMember, ...]:
        """What is in a header is flattened, for P4Runtime knows only bits in headers."""
        if isinstance(type_, model.StructType):
            return self._header_data(type_, f"{name}.")
        if isinstance(type_, model.StackType):
            elements = (self._header_member(type_.element, f"{name}[{index}]") for index in range(type_.size))
            return tuple(member for element in elements for member in element)
        return (dt.DataMember(name, self.data_type(type_)),)

    def _enum_data(self, type_: model.EnumType) -> dt.DataType:
        declaration = type_.declaration
        name = external_name(declaration).removeprefix(".")
        names = [member.name.text for member in declaration.members]
        if type_.underlying is None:
            return dt.EnumData(name, tuple(names))
        values = [self.enum_value(type_, member) for member in names]
        return dt.SerializableEnumData(name, self.width(type_.underlying), tuple(zip(names, values, strict=True)))

    def enum_value(self, type_: model.EnumType, member: str) -> int:
        """The number of a member: as declared, or its place for an enum without representation."""
        members = type_.declaration.members
        if type_.underlying is None:
            return next(index for index, m in enumerate(members) if m.name.text == member)
        return self._checked.enum_value_of[next(m for m in members if m.name.text == member)]

    def _new_type(self, type_: model.NewType) -> dt.NewTypeData:
        declaration = type_.declaration
        translation = None
        if has_annotation(declaration, "p4runtime_translation"):
            translation = self._translation(declaration)
        underlying = self.data_type(self.resolve(type_))
        if translation is not None and not isinstance(underlying, dt.BitsData):
            self._diagnostics.error(
                Kind.INVALID,
                f"a type with @p4runtime_translation must be made of bit<W>, and '{type_}' is not",
                declaration.span,
            )
        return dt.NewTypeData(
            declaration.span,
            external_name(declaration).removeprefix("."),
            underlying,
            translation,
            lower_annotations(declaration.annotations),
        )

    def _translation(self, declaration: ast.Typedef) -> dt.Translation | None:
        """What `@p4runtime_translation(uri, type)` says; None, and reported, if it says something else."""
        annotation = get_annotation(declaration, "p4runtime_translation")
        assert annotation is not None
        tokens = [token.text for token in annotation.tokens or ()]
        uri = string_argument(annotation)
        match tokens[1:]:
            case [",", "string"] if uri is not None:
                return dt.Translation(uri, None)
            case [",", "bit", "<", width, ">"] | [",", width] if uri is not None and (bits := number_of(width)):
                return dt.Translation(uri, bits)
        self._diagnostics.error(
            Kind.SYNTAX_ERROR,
            "@p4runtime_translation takes a URI and the controller's type: string, bit<W> or W",
            annotation.span,
        )
        return None
