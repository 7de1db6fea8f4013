"""Makes the program's storage: variables, headers, stacks and unions, each with a name of its own."""

from __future__ import annotations

from p4compiler.diagnostics import Diagnostics, Kind, Note
from p4compiler.ir import expressions as ex
from p4compiler.ir.program import Storage
from p4compiler.ir.storage import Header, HeaderStack, HeaderUnion, Variable
from p4compiler.ir.types import Type
from p4compiler.lowering.annotations import get_annotation, integer_arguments
from p4compiler.lowering.errors import Abandoned
from p4compiler.lowering.types import TypeLowering
from p4compiler.lowering.values import HeaderPlace, NoValue, Scalar, StackPlace, Structure, UnionPlace, Value
from p4compiler.source import Span
from p4compiler.types import model

MAX_OBJECTS = 200_000
"""Variables and headers of one program; what declares more fits no target and would take minutes."""

MAX_STATEMENTS = 300_000
"""Of one program, with everything inlined and structures taken apart."""


class StorageBuilder:
    def __init__(self, types: TypeLowering, diagnostics: Diagnostics) -> None:
        self._types = types
        self._diagnostics = diagnostics
        self._used: dict[str, int] = {"scalars": 0, "standard_metadata": 0}
        self.variables: list[Variable] = []
        self.headers: list[Header] = []
        self.stacks: list[HeaderStack] = []
        self.unions: list[HeaderUnion] = []
        self._member_stacks: dict[tuple[HeaderStack, int], HeaderStack] = {}
        self._count = 0
        self._statements = 0
        self._fields: list[Span] = []
        """The fields, outermost first, for which storage is being made."""

    def _spend(self, number: int, span: Span) -> None:
        """Count objects that are about to be made."""
        self._count += number
        if self._count > MAX_OBJECTS:
            raise self._refused(f"the program has more than {MAX_OBJECTS} variables and headers", span, Kind.OVERLIMIT)

    @property
    def is_exhausted(self) -> bool:
        """Nothing more can be emitted."""
        return self._statements > MAX_STATEMENTS

    def count_statements(self, number: int, span: Span) -> None:
        """So many statements, or choices inside of expressions, are about to be made.

        Raises:
            Abandoned: there are too many, which is reported.
        """
        self._statements += number
        if self._statements > MAX_STATEMENTS:
            self._diagnostics.error(
                Kind.OVERLIMIT, f"more than {MAX_STATEMENTS} statements, calls inlined and structures taken apart", span
            )
            raise Abandoned("too many statements")

    def finish(self) -> Storage:
        return Storage(tuple(self.variables), tuple(self.headers), tuple(self.stacks), tuple(self.unions))

    def unique(self, name: str) -> str:
        """The name, or with a number behind it if it is taken."""
        if name not in self._used:
            self._used[name] = 0
            return name
        while True:
            number = self._used[name]
            self._used[name] += 1
            candidate = f"{name}_{number}"
            if candidate not in self._used:
                self._used[candidate] = 0
                return candidate

    def variable(self, name: str, type_: Type, span: Span, field_lists: tuple[int, ...] = ()) -> ex.VariableValue:
        variable = Variable(span, self.unique(name), type_, field_lists)
        self.variables.append(variable)
        return ex.VariableValue(span, variable)

    def make(self, type_: model.Type, name: str, span: Span, field_lists: tuple[int, ...] = ()) -> Value:
        """New storage for a value of that type.

        Raises:
            Abandoned: nothing of that type can be kept on this target, which is reported.
        """
        resolved = self._types.resolve(type_)
        scalar = self._types.scalar(resolved)
        self._spend(resolved.size if isinstance(resolved, model.StackType) else 1, span)
        if scalar is not None:
            return Scalar(self.variable(name, scalar, span, field_lists))
        match resolved:
            case model.StructType() | model.TupleType() | model.AnonymousStructType():
                return self._structure(resolved, name, span, field_lists)
            case model.HeaderType():
                header = self._header(resolved, self.unique(name), span)
                self.headers.append(header)
                return HeaderPlace(resolved, ex.OneHeader(span, header))
            case model.HeaderUnionType():
                union = self._union(resolved, self.unique(name), span)
                self.unions.append(union)
                return UnionPlace(resolved, union)
            case model.StackType() if self._types.is_array(resolved):
                return self._structure(resolved, name, span, field_lists)
            case model.StackType():
                return self._stack(resolved, self.unique(name), span)
            case model.VoidType():
                return NoValue()
        raise self._refused(f"nothing can hold a value of type {type_} on this target", span)

    def _refused(self, message: str, span: Span, kind: Kind = Kind.UNSUPPORTED_ON_TARGET) -> Abandoned:
        """Report that there can be no such storage, with the field that asks for it."""
        notes = [Note("for this field", self._fields[-1])] if self._fields else []
        self._fields.clear()
        return self._types.refused(message, span, kind, notes)

    def stack_of_members(self, stack: HeaderStack, member: int) -> HeaderStack:
        """The members of that number of all unions in a stack, as a stack of headers: by it they can be found by an index."""
        known = self._member_stacks.get((stack, member))
        if known is None:
            unions = [element for element in stack.elements if isinstance(element, HeaderUnion)]
            name = self.unique(f"{stack.name}.{unions[0].layout.members[member][0]}")
            known = HeaderStack(stack.span, name, tuple(union.members[member] for union in unions))
            self._member_stacks[stack, member] = known
            self.stacks.append(known)
        return known

    def _structure(self, type_: model.Type, name: str, span: Span, field_lists: tuple[int, ...]) -> Structure:
        fields: dict[str, Value] = {}
        if isinstance(type_, model.StructType):
            for field in self._types.fields(type_):
                lists = field_lists
                annotation = get_annotation(field.declaration, "field_list") if field.declaration else None
                if annotation is not None:
                    lists = (*lists, *(n for n in integer_arguments(annotation) if n not in lists))
                if field.declaration is not None:
                    self._fields.append(field.declaration.span)
                fields[field.name] = self.make(field.type, f"{name}.{field.name}", span, lists)
                if field.declaration is not None:
                    self._fields.pop()
        else:
            is_array = isinstance(type_, model.StackType)
            for member, member_type in self._types.members(type_):
                member_name = f"{name}[{member}]" if is_array else f"{name}.{member}"
                fields[member] = self.make(member_type, member_name, span, field_lists)
        return Structure(type_, fields, is_stored=True)

    def _header(self, type_: model.HeaderType, name: str, span: Span) -> Header:
        return Header(span, name, self._types.header_layout(type_))

    def _union(self, type_: model.HeaderUnionType, name: str, span: Span) -> HeaderUnion:
        layout = self._types.union_layout(type_)
        members = tuple(Header(span, f"{name}.{member}", member_layout) for member, member_layout in layout.members)
        return HeaderUnion(span, name, layout, members)

    def _stack(self, type_: model.StackType, name: str, span: Span) -> StackPlace:
        names = [f"{name}[{index}]" for index in range(type_.size)]
        element = type_.element
        stack: HeaderStack
        if isinstance(element, model.HeaderType):
            stack = HeaderStack(span, name, tuple(self._header(element, n, span) for n in names))
        elif isinstance(element, model.HeaderUnionType):
            stack = HeaderStack(span, name, tuple(self._union(element, n, span) for n in names))
        else:
            raise self._refused(f"an array of {element} is not supported on this target", span)
        self.stacks.append(stack)
        return StackPlace(type_, stack)
