"""Type references to types (specification, section 7)."""

from __future__ import annotations

from p4compiler.diagnostics import Kind, Note
from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.context import CheckContext
from p4compiler.types.scope import TYPE_DECLARATIONS, describe, first_of

MAX_WIDTH = 2048
"""The widest bit, int or varbit type, as in p4c."""

STRUCT_LIKE: dict[type[ast.Declaration], type[model.StructLikeType]] = {
    ast.StructDeclaration: model.StructType,
    ast.HeaderDeclaration: model.HeaderType,
    ast.HeaderUnionDeclaration: model.HeaderUnionType,
}

GENERIC = (
    ast.StructDeclaration,
    ast.HeaderDeclaration,
    ast.HeaderUnionDeclaration,
    ast.ExternDeclaration,
    ast.ParserTypeDeclaration,
    ast.ControlTypeDeclaration,
    ast.PackageTypeDeclaration,
    ast.Parser,
    ast.Control,
)

_BASE = {
    ast.BaseTypeKind.BOOL: model.BOOL,
    ast.BaseTypeKind.ERROR: model.ERROR,
    ast.BaseTypeKind.MATCH_KIND: model.MATCH_KIND,
    ast.BaseTypeKind.STRING: model.STRING,
    ast.BaseTypeKind.VOID: model.VOID,
    ast.BaseTypeKind.INT: model.INT,
    ast.BaseTypeKind.DONT_CARE: model.DONT_CARE,
}


class TypeResolver(CheckContext):
    def resolve(self, reference: ast.TypeRef, bare_generic: bool = False) -> model.Type:
        """The type that `reference` names; UNKNOWN (and an error) if there is none.

        With `bare_generic` the type arguments of a generic type may be left out, to be inferred: it then has none.
        """
        result = self._resolve(reference, bare_generic)
        self.resolved_type_of[reference] = result
        return result

    def _resolve(self, reference: ast.TypeRef, bare_generic: bool) -> model.Type:
        match reference:
            case ast.BitsTypeRef():
                return self._bits(reference)
            case ast.NamedTypeRef():
                return self._named(reference, (), bare_generic)
            case ast.BaseTypeRef():
                return _BASE[reference.kind]
            case ast.SpecializedTypeRef():
                arguments = tuple(self.resolve(argument) for argument in reference.arguments)
                result = self._named(reference.base, arguments, False)
                self.resolved_type_of[reference.base] = result
                return result
            case ast.StackTypeRef():
                return self._stack(reference)
            case ast.TupleTypeRef():
                elements = tuple(self.resolve(element) for element in reference.elements)
                for type_, element in zip(elements, reference.elements, strict=True):
                    self._check_component(type_, element, "a tuple")
                return self.bounded(model.TupleType(elements), reference)
            case ast.ListTypeRef():
                element_type = self.resolve(reference.element)
                return model.ListType(element_type)
        raise AssertionError(f"unexpected type reference {reference!r}")

    def _check_component(self, type_: model.Type, reference: ast.Node, holder: str) -> None:
        if isinstance(type_, model.ObjectType | model.VoidType | model.SetType):
            self.type_error(f"{holder} cannot hold values of type '{type_}'", reference)

    def _bits(self, reference: ast.BitsTypeRef) -> model.Type:
        if reference.width is None:
            return model.bits(1)
        width = self.width(reference.width, reference.kind is ast.BitsKind.VARBIT)
        if width is None:
            return model.UNKNOWN
        if reference.kind is ast.BitsKind.VARBIT:
            return model.VarbitType(width)
        signed = reference.kind is ast.BitsKind.INT
        if signed and width == 0:
            self.error(Kind.INVALID, "a signed type has at least one bit", reference)
            return model.UNKNOWN
        return model.bits(width, signed)

    def width(self, expression: ast.Expression, allow_zero: bool = False) -> int | None:
        """The value of a width between angle brackets; None and an error if it is not a sensible constant."""
        if expression.__class__ is ast.IntegerLiteral:
            self.expression(expression)
            value: object = expression.value
        else:
            type_ = self.expression(expression)
            if isinstance(type_, model.UnknownType):
                return None
            if not isinstance(type_, model.InfIntType | model.BitsType):
                self.error(Kind.EXPECTED, f"a width must be a number, not of type '{type_}'", expression)
                return None
            value = self.constant(expression)
        if not isinstance(value, int) or isinstance(value, bool):
            self.error(Kind.EXPECTED, "a width must be a compile-time constant", expression)
            return None
        if value < 0:
            self.error(Kind.INVALID, f"a width cannot be negative: {value}", expression)
            return None
        if value > MAX_WIDTH:
            self.error(
                Kind.OVERLIMIT, f"width {value} is larger than the largest supported one, {MAX_WIDTH}", expression
            )
            return None
        return value

    def _stack(self, reference: ast.StackTypeRef) -> model.Type:
        element = self.resolve(reference.element)
        size_type = self.expression(reference.size)
        size = self.constant(reference.size)
        if isinstance(size_type, model.UnknownType) or isinstance(element, model.UnknownType):
            return model.UNKNOWN
        if not isinstance(size, int) or isinstance(size, bool):
            self.type_error("the size of an array must be a compile-time constant", reference.size)
            return model.UNKNOWN
        if size < 0:
            self.error(Kind.OVERLIMIT, f"the size of an array cannot be negative: {size}", reference.size)
            return model.UNKNOWN
        self.check_stack_element(element, reference)
        return self.bounded(model.StackType(element, size), reference)

    def check_stack_element(self, element: model.Type, reference: ast.Node) -> None:
        if isinstance(element, model.ObjectType | model.VoidType | model.StringType | model.InfIntType | model.SetType):
            self.type_error(f"an array cannot have elements of type '{element}'", reference)

    def _named(self, reference: ast.NamedTypeRef, arguments: tuple[model.Type, ...], bare_generic: bool) -> model.Type:
        scope = self.top if reference.absolute else self.scope
        declaration = scope.find_type(reference.name) or scope.find(reference.name)
        if declaration is None and reference.name == self.open_type:
            self.error(Kind.UNSUPPORTED, f"'{reference.name}' cannot be a part of itself", reference)
            return model.UNKNOWN
        if declaration is None:
            self.not_found("type", reference.name, reference.span, self._type_names())
            return model.UNKNOWN
        if not isinstance(declaration, TYPE_DECLARATIONS):
            first = first_of(declaration)
            notes = [Note("declared here", first.name.span)]
            self.type_error(f"'{reference.name}' is a {describe(first)}, not a type", reference, notes)
            return model.UNKNOWN
        assert isinstance(declaration, ast.Declaration)
        self.checked.declaration_of[reference] = declaration
        self.used.add(declaration)
        if isinstance(declaration, GENERIC):
            return self._apply_arguments(declaration, arguments, reference, bare_generic)
        if arguments:
            self.type_error(f"type '{reference.name}' takes no type arguments", reference)
            return model.UNKNOWN
        if isinstance(declaration, ast.TypeParameter):
            return model.TypeVariable(declaration)
        return self.resolved_type_of.get(declaration, model.UNKNOWN)

    def _apply_arguments(
        self,
        declaration: ast.Declaration,
        arguments: tuple[model.Type, ...],
        reference: ast.Node,
        bare_generic: bool,
    ) -> model.Type:
        assert isinstance(declaration, GENERIC)
        wanted = len(declaration.type_parameters)
        if len(arguments) != wanted and not (bare_generic and not arguments):
            notes = [Note("declared here", declaration.name.span)]
            self.type_error(
                f"{describe(declaration)} '{declaration.name.text}' takes {wanted} type argument(s), not {len(arguments)}",
                reference,
                notes,
            )
            return model.UNKNOWN
        if any(self._mentions(argument, declaration) for argument in arguments):
            self.type_error(f"'{declaration.name.text}' cannot be a type argument of itself", reference)
            return model.UNKNOWN
        struct = STRUCT_LIKE.get(type(declaration))
        if struct is None:
            return model.ObjectType(declaration, arguments)
        result = struct(declaration, arguments)
        if not arguments:
            known = self.resolved_type_of.get(declaration)
            return known if isinstance(known, model.UnknownType) else result
        self.check_fields_after_substitution(result, reference)
        return self.bounded(result, reference)

    def _mentions(self, type_: model.Type, declaration: ast.Declaration) -> bool:
        """The generic `declaration` occurs in the type."""
        match type_:
            case model.StructLikeType(other, arguments) | model.ObjectType(other, arguments):
                return other is declaration or any(self._mentions(argument, declaration) for argument in arguments)
            case model.TupleType(elements):
                return any(self._mentions(element, declaration) for element in elements)
            case model.StackType(element, _) | model.ListType(element):
                return self._mentions(element, declaration)
        return False

    def check_fields_after_substitution(self, type_: model.StructLikeType, reference: ast.Node) -> None:
        """With its type arguments put in, a generic struct's fields must still be of allowed types."""
        if any(isinstance(a, model.DontCareType) for a in type_.arguments):
            return
        for field in self.fields(type_):
            problem = field_problem(type_, field.type) or self.struct_in_header_problem(type_, field.type)
            if problem:
                self.type_error(f"field '{field.name}' of '{type_}': {problem}", reference)

    def struct_in_header_problem(self, holder: model.StructLikeType, type_: model.Type) -> str | None:
        """Why a header cannot have a field of that struct type: something deep inside of it does not fit."""
        if isinstance(holder, model.HeaderType) and isinstance(type_, model.StructType):
            for field in self.fields(type_):
                problem = field_problem(holder, field.type) or self.struct_in_header_problem(holder, field.type)
                if problem is not None:
                    return problem
        return None

    def _type_names(self) -> list[str]:
        found = []
        for name in self.scope.all_names():
            declaration = self.scope.find(name)
            if isinstance(declaration, TYPE_DECLARATIONS):
                found.append(name)
        return found


def field_problem(holder: model.StructLikeType, type_: model.Type) -> str | None:
    """Why a struct, header or header union cannot have a field of that type (section 7.2.8); None if it can."""
    match holder, type_:
        case _, model.UnknownType() | model.TypeVariable():
            return None
        case _, model.NewType(_, underlying):
            return field_problem(holder, underlying)
        case model.HeaderUnionType(), model.HeaderType():
            return None
        case model.HeaderUnionType(), _:
            return f"a header union can only hold headers, not '{type_}'"
        case model.HeaderType(), model.BitsType() | model.VarbitType() | model.BoolType() | model.StructType():
            return None
        case model.HeaderType(), model.EnumType(_, underlying) if underlying is not None:
            return None
        case model.HeaderType(), model.StackType(element, _) if not isinstance(
            element, model.HeaderType | model.HeaderUnionType
        ):
            return field_problem(holder, element)
        case model.HeaderType(), _:
            return f"a header cannot hold a field of type '{type_}'"
        case _, model.ObjectType() | model.VoidType() | model.InfIntType() | model.StringType() | model.SetType():
            return f"a struct cannot hold a field of type '{type_}'"
        case _, model.MatchKindType() | model.DontCareType():
            return f"a struct cannot hold a field of type '{type_}'"
    return None
