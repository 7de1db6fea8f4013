"""The methods that every value of a type has: validity, sizes, pushing and popping (sections 8.17, 8.18, 9)."""

from __future__ import annotations

from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.arguments import Arguments
from p4compiler.types.checked import CallKind, ResolvedCall
from p4compiler.types.context import Place

SIZE_METHODS = ("minSizeInBits", "minSizeInBytes", "maxSizeInBits", "maxSizeInBytes")


class BuiltInMethods(Arguments):
    def _built_in(self, expression: ast.Call, name: str, return_type: model.Type, argument: bool = False) -> None:
        values = tuple(a.value for a in expression.arguments) if argument else ()
        types = tuple(self.type_of.get(value, model.UNKNOWN) for value in values)
        self.checked.call_of[expression] = ResolvedCall(
            CallKind.BUILTIN_METHOD, None, None, name, (), (), types, values, return_type
        )

    def _no_arguments(self, expression: ast.Call, name: str) -> None:
        if expression.arguments or expression.type_arguments:
            self.type_error(f"'{name}' takes no arguments", expression)

    def _size(self, expression: ast.Call, name: str, type_: model.Type) -> model.Type:
        self._no_arguments(expression, name)
        width = self.size_in_bits(type_, maximum=name.startswith("max"))
        if width is None:
            self.type_error(f"the size of type '{type_}' is not known", expression)
            return model.UNKNOWN
        self.constant_of[expression] = (width + 7) // 8 if name.endswith("Bytes") else width
        self._built_in(expression, name, model.INT)
        return model.INT

    def size_in_bits(self, type_: model.Type, maximum: bool) -> int | None:
        """The least or greatest number of bits that a value takes (section 9); None if the type has no size."""
        match type_:
            case model.BitsType(width):
                return width
            case model.BoolType():
                return 1
            case model.VarbitType(width):
                return width if maximum else 0
            case model.EnumType(_, underlying) | model.NewType(_, underlying):
                return None if underlying is None else self.size_in_bits(underlying, maximum)
            case model.StackType(element, size):
                one = self.size_in_bits(element, maximum)
                return None if one is None else one * size
            case model.TupleType(elements):
                parts = [self.size_in_bits(element, maximum) for element in elements]
            case model.StructLikeType():
                parts = [self.size_in_bits(field.type, maximum) for field in self.fields(type_)]
            case _:
                return None
        known = [part for part in parts if part is not None]
        if len(known) != len(parts):
            return None
        if isinstance(type_, model.HeaderUnionType):
            return (max(known) if maximum else min(known)) if known else 0
        return sum(known)

    def _validity(self, expression: ast.Call, member: ast.Member, base: model.Type) -> model.Type:
        name = member.member.text
        self._no_arguments(expression, name)
        if name == "isValid":
            self._built_in(expression, name, model.BOOL)
            return model.BOOL
        if isinstance(base, model.HeaderUnionType):
            self.type_error(f"a header union has no method '{name}'; its headers do", member.member)
        if not self.is_lvalue(member.base):
            self.type_error(f"'{name}' needs something that can be assigned to", member.base)
        self._built_in(expression, name, model.VOID)
        return model.VOID

    def _shift_stack(self, expression: ast.Call, member: ast.Member) -> model.Type:
        name = member.member.text
        base = self.type_of[member.base]
        if isinstance(base, model.StackType) and not isinstance(
            base.element, model.HeaderType | model.HeaderUnionType | model.UnknownType
        ):
            self.type_error(f"'{name}' is only known for header stacks", member.member)
        if self.place is Place.STATE:
            self.type_error(f"'{name}' cannot be used in a parser", expression)
        if not self.is_lvalue(member.base):
            self.type_error(f"'{name}' needs something that can be assigned to", member.base)
        if len(expression.arguments) != 1:
            self.type_error(f"'{name}' takes one argument, the count", expression)
            self.type_arguments_anyway(expression)
            return model.VOID
        count = expression.arguments[0].value
        type_ = self.expression(count)
        value = self.number_of(count)
        if not isinstance(type_, model.UnknownType):
            if value is None:
                self.type_error("the count must be a compile-time constant", count)
            elif value < 0:
                self.type_error("the count cannot be negative", count)
        self._built_in(expression, name, model.VOID, argument=True)
        return model.VOID

    def has_varbit(self, type_: model.Type) -> bool:
        match type_:
            case model.VarbitType():
                return True
            case model.StructLikeType():
                return any(self.has_varbit(field.type) for field in self.fields(type_))
            case model.StackType(element, _) | model.ListType(element):
                return self.has_varbit(element)
            case model.TupleType(elements):
                return any(self.has_varbit(element) for element in elements)
        return False


def methods_of(type_: model.Type) -> list[str]:
    match type_:
        case model.HeaderType():
            return ["isValid", "setValid", "setInvalid", *SIZE_METHODS]
        case model.HeaderUnionType():
            return ["isValid", *SIZE_METHODS]
        case model.StackType():
            return ["push_front", "pop_front", *SIZE_METHODS]
    return list(SIZE_METHODS)
