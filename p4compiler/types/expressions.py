"""The typing of expressions: names, members, literals, lists, indexes (specification, section 8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from p4compiler.diagnostics import Kind, Note, did_you_mean
from p4compiler.syntax import ast
from p4compiler.types import constants, model
from p4compiler.types.calls import Calls
from p4compiler.types.checked import Value
from p4compiler.types.context import Place
from p4compiler.types.resolve import MAX_WIDTH
from p4compiler.types.scope import FUNCTIONS, TYPE_DECLARATIONS, describe, first_of

STACK_MEMBERS = ("next", "last", "lastIndex", "size")


class Expressions(Calls):
    def expression(self, expression: ast.Expression) -> model.Type:
        known = self.type_of.get(expression)
        if known is not None:
            return known
        type_: model.Type = _CHECKERS[expression.__class__](self, expression)
        self.type_of[expression] = type_
        return type_

    # -- literals

    def integer_literal(self, expression: ast.IntegerLiteral) -> model.Type:
        if expression.width is None:
            self.constant_of[expression] = expression.value
            return model.INT
        if expression.width > MAX_WIDTH:
            self.error(Kind.OVERLIMIT, f"width {expression.width} is larger than the largest, {MAX_WIDTH}", expression)
            return model.UNKNOWN
        if expression.width == 0 or (expression.signed and expression.width < 2):
            least = 2 if expression.signed else 1
            self.error(Kind.INVALID, f"a literal of this kind has at least {least} bit(s)", expression)
            return model.UNKNOWN
        type_ = model.bits(expression.width, expression.signed)
        # A signed literal may be written by its bit pattern: only what needs more bits than there are is lost.
        if expression.value >> expression.width or (expression.signed and not constants.fits(expression.value, type_)):
            self.check_fit(expression.value, type_, expression)
        self.constant_of[expression] = constants.wrap(expression.value, type_)
        return type_

    def bool_literal(self, expression: ast.BoolLiteral) -> model.Type:
        self.constant_of[expression] = expression.value
        return model.BOOL

    def string_literal(self, expression: ast.StringLiteral) -> model.Type:
        self.constant_of[expression] = expression.value
        return model.STRING

    def default_literal(self, expression: ast.DefaultLiteral) -> model.Type:
        return model.DONT_CARE

    def dont_care(self, expression: ast.DontCare) -> model.Type:
        return model.DONT_CARE

    def invalid_header(self, expression: ast.InvalidHeader) -> model.Type:
        return model.DONT_CARE

    # -- names

    def path(self, expression: ast.PathExpression) -> model.Type:
        scope = self.top if expression.absolute else self.scope
        found = scope.find(expression.name)
        if found is None and expression.name in self.match_kind_members:
            self.constant_of[expression] = expression.name
            return model.MATCH_KIND
        if found is None and self.open_enum is not None:
            # Among an enum's own members they need no prefix.
            member = self.enum_members[self.open_enum.declaration].get(expression.name)
            if member in self.checked.enum_value_of:
                self.constant_of[expression] = expression.name
                return self.open_enum
        if found is None:
            self.not_found("name", expression.name, expression.span, scope.all_names())
            return model.UNKNOWN
        declaration = first_of(found)
        self.checked.declaration_of[expression] = declaration
        self.used.add(declaration)
        if isinstance(declaration, ast.Table):
            if declaration is self.current_table:
                self.type_error(f"table '{expression.name}' cannot refer to itself", expression)
                return model.UNKNOWN
            return model.ObjectType(declaration)
        if isinstance(declaration, TYPE_DECLARATIONS):
            self.type_error(f"'{expression.name}' is a type, but a value is needed here", expression)
            return model.UNKNOWN
        if isinstance(declaration, (*FUNCTIONS, ast.Action, ast.ParserState)):
            notes = [Note("declared here", declaration.name.span)]
            self.type_error(f"{describe(declaration)} '{expression.name}' is not a value", expression, notes)
            return model.UNKNOWN
        if isinstance(declaration, ast.Constant):
            value = self.checked.constant_of.get(declaration.value)
            if value is not None:
                self.constant_of[expression] = self.constant_value(declaration)
        return self.resolved_type_of.get(declaration, model.UNKNOWN)

    def constant_value(self, declaration: ast.Constant) -> Value:
        """The value of a declared constant: its initializer's, converted."""
        value = self.constant_of[declaration.value]
        target = self.checked.cast_of.get(declaration.value)
        if target is not None and isinstance(value, str):
            number = self.number_of(declaration.value)
            if number is not None:
                return number
        return value

    def this(self, expression: ast.This) -> model.Type:
        type_ = self.this_type
        if type_ is None:
            self.error(Kind.INVALID, "'this' can only be used in the body of an extern's instance", expression)
            return model.UNKNOWN
        return type_

    this_type: model.Type | None = None
    open_enum: model.EnumType | None = None
    """The enum whose members' values are being checked."""

    def type_name(self, expression: ast.TypeNameExpression) -> model.Type:
        type_ = self.resolve(expression.type)
        if not isinstance(type_, model.UnknownType):
            self.type_error(f"'{type_}' is a type, but a value is needed here", expression)
        return model.UNKNOWN

    # -- members

    def member(self, expression: ast.Member) -> model.Type:
        if isinstance(expression.base, ast.TypeNameExpression):
            return self._type_member(expression, expression.base)
        base = self.expression(expression.base)
        name = expression.member.text
        match base:
            case model.UnknownType():
                return base
            case model.StructLikeType():
                field = self.field(base, name)
                if field is not None:
                    value = self.constant(expression.base)
                    if isinstance(value, dict) and name in value:
                        self.constant_of[expression] = value[name]
                    return field.type
                message = f"'{base}' has no field '{name}'"
                if name in ("next", "last", "lastIndex"):
                    message = f"'{name}' is only known for header stacks, not for '{base}'"
                self.type_error(message, expression.member, self.field_notes(base, name))
                return model.UNKNOWN
            case model.StackType() if name in STACK_MEMBERS:
                return self._stack_member(expression, base)
            case model.ApplyResultType(table):
                if name in ("hit", "miss"):
                    return model.BOOL
                if name == "action_run":
                    if not self.in_switch_selector(expression):
                        self.type_error("'action_run' can only be used as the selector of a switch", expression)
                        return model.UNKNOWN
                    return model.ActionRunType(table)
            case model.AnonymousStructType(fields):
                for f in fields:
                    if f.name == name:
                        return f.type
        known = _MEMBERS.get(type(base), ())
        self.type_error(f"type '{base}' has no member '{name}'", expression.member, did_you_mean(name, known))
        return model.UNKNOWN

    selector: ast.Expression | None = None
    """The selector of the switch statement at hand, while it is checked."""

    def in_switch_selector(self, expression: ast.Expression) -> bool:
        return expression is self.selector

    def _stack_member(self, expression: ast.Member, base: model.StackType) -> model.Type:
        name = expression.member.text
        if name == "size":
            self.constant_of[expression] = base.size
            return model.BIT32
        if not isinstance(base.element, model.HeaderType | model.HeaderUnionType | model.UnknownType):
            self.type_error(f"'{name}' is only known for header stacks", expression.member)
            return model.UNKNOWN
        if self.place is not Place.STATE:
            self.type_error(f"'{name}' of a header stack can only be used in a parser", expression)
        return model.BIT32 if name == "lastIndex" else base.element

    def _type_member(self, expression: ast.Member, base: ast.TypeNameExpression) -> model.Type:
        """`E.A`, `error.X`."""
        type_ = self.resolve(base.type)
        self.type_of[base] = type_
        name = expression.member.text
        match type_:
            case model.UnknownType():
                return type_
            case model.ErrorType():
                if name not in self.error_members:
                    self.not_found("error", name, expression.member.span, self.error_members)
                    return type_
                self.constant_of[expression] = name
                return type_
            case model.EnumType(declaration):
                if name not in self.enum_members.get(declaration, {}):
                    notes = [
                        *did_you_mean(name, self.enum_members.get(declaration, {})),
                        Note("the enum is declared here", declaration.name.span),
                    ]
                    self.type_error(f"enum '{type_}' has no member '{name}'", expression.member, notes)
                    return type_
                self.constant_of[expression] = name
                return type_
        self.type_error(f"type '{type_}' has no member '{name}'", expression)
        return model.UNKNOWN

    # -- indexes

    def index(self, expression: ast.Index) -> model.Type:
        base = self.expression(expression.base)
        index = self.expression(expression.index)
        if isinstance(base, model.UnknownType) or isinstance(index, model.UnknownType):
            return base.element if isinstance(base, model.StackType) else model.UNKNOWN
        if not isinstance(base, model.StackType | model.TupleType | model.ListType):
            self.type_error(f"type '{base}' has no elements to index", expression)
            return model.UNKNOWN
        number = self.underlying_number(expression.index, index)
        if not isinstance(number, model.BitsType | model.InfIntType):
            self.type_error(f"an index must be a number, not of type '{index}'", expression.index)
            return model.UNKNOWN
        value = self.number_of(expression.index)
        if value is not None and value < 0:
            self.type_error(f"an index cannot be negative: {value}", expression.index)
            return model.UNKNOWN
        if isinstance(base, model.ListType):
            return base.element
        if isinstance(base, model.StackType):
            if value is not None and value >= base.size and not self.is_measured:
                self.type_error(f"index {value} is outside of an array with {base.size} elements", expression.index)
            if isinstance(number, model.InfIntType) and value is None:
                self.type_error("the width of this index is not known", expression.index)
            return base.element
        if value is None:
            self.type_error("an index into a tuple must be a compile-time constant", expression.index)
            return model.UNKNOWN
        if value >= len(base.elements):
            self.type_error(f"index {value} is outside of a tuple with {len(base.elements)} elements", expression.index)
            return model.UNKNOWN
        whole = self.constant(expression.base)
        if isinstance(whole, tuple) and value < len(whole):
            self.constant_of[expression] = whole[value]
        return base.elements[value]

    # -- conditional

    def conditional(self, expression: ast.Conditional) -> model.Type:
        condition = self.expression(expression.condition)
        then, otherwise = self.expression(expression.then), self.expression(expression.otherwise)
        if not isinstance(condition, model.BoolType | model.UnknownType):
            self.type_error(f"the condition must be of type bool, not '{condition}'", expression.condition)
            return model.UNKNOWN
        chosen = self.constant(expression.condition)
        if isinstance(then, model.InfIntType) and isinstance(otherwise, model.InfIntType):
            values = self.constant(expression.then), self.constant(expression.otherwise)
            if not isinstance(chosen, bool) or values[not chosen] is None:
                self.type_error("at least one of the two numbers needs a width, such as 8w1", expression)
                return model.UNKNOWN
        if isinstance(then, model.UnknownType) or isinstance(otherwise, model.UnknownType):
            return otherwise if isinstance(then, model.UnknownType) else then
        if then != otherwise:
            source, target = (expression.then, otherwise)
            if not (
                isinstance(then, model.InfIntType | model.AnonymousStructType | model.DontCareType)
                or isinstance(expression.then, ast.ListExpression)
            ):
                source, target = expression.otherwise, then
            if not self.coerce(source, target, "branch"):
                return model.UNKNOWN
            then = target
        if isinstance(then, model.VoidType | model.ObjectType):
            self.type_error(f"a value of type '{then}' cannot be chosen", expression)
        if isinstance(chosen, bool):
            value = self.constant(expression.then if chosen else expression.otherwise)
            if value is not None:
                self.constant_of[expression] = value
        return then

    # -- lists and structures

    def list_expression(self, expression: ast.ListExpression) -> model.Type:
        types = []
        values: list[Value] = []
        for element in expression.elements:
            types.append(self.expression(element))
            value = self.constant(element)
            if value is not None:
                values.append(value)
        if len(values) == len(types):
            self.constant_of[expression] = tuple(values)
        if any(isinstance(type_, model.UnknownType) for type_ in types):
            return model.UNKNOWN
        for type_, element in zip(types, expression.elements, strict=True):
            if isinstance(type_, model.SetType | model.VoidType | model.ApplyResultType):
                self.type_error(f"a list cannot hold a value of type '{type_}'", element)
                return model.UNKNOWN
        return model.TupleType(tuple(types))

    def struct_expression(self, expression: ast.StructExpression) -> model.Type:
        fields = []
        seen: dict[str, ast.Name] = {}
        unknown = False
        values: dict[str, Value] = {}
        for item in expression.fields:
            name = item.name.text
            type_ = self.expression(item.value)
            unknown |= isinstance(type_, model.UnknownType)
            if name in seen:
                self.duplicate(item.name, seen[name])
                unknown = True
            seen[name] = item.name
            fields.append(model.FieldType(name, type_))
            value = self.constant(item.value)
            if value is not None:
                values[name] = value
        if expression.rest is not None:
            self.type_of[expression.rest] = model.DONT_CARE
        elif len(values) == len(fields):
            self.constant_of[expression] = values
        return model.UNKNOWN if unknown else model.AnonymousStructType(tuple(fields))

    def tuple_set(self, expression: ast.TupleSet) -> model.Type:
        types = tuple(self.expression(element) for element in expression.elements)
        return model.TupleType(types)


_MEMBERS: dict[type[model.Type], tuple[str, ...]] = {
    model.ApplyResultType: ("hit", "miss", "action_run"),
    model.StackType: STACK_MEMBERS,
}

_CHECKERS: dict[type[ast.Expression], Callable[[Any, Any], model.Type]] = {
    ast.IntegerLiteral: Expressions.integer_literal,
    ast.BoolLiteral: Expressions.bool_literal,
    ast.StringLiteral: Expressions.string_literal,
    ast.PathExpression: Expressions.path,
    ast.This: Expressions.this,
    ast.DefaultLiteral: Expressions.default_literal,
    ast.DontCare: Expressions.dont_care,
    ast.InvalidHeader: Expressions.invalid_header,
    ast.Member: Expressions.member,
    ast.TypeNameExpression: Expressions.type_name,
    ast.Index: Expressions.index,
    ast.Slice: Expressions.slice,
    ast.Unary: Expressions.unary,
    ast.Binary: Expressions.binary,
    ast.Conditional: Expressions.conditional,
    ast.Cast: Expressions.cast,
    ast.ListExpression: Expressions.list_expression,
    ast.StructExpression: Expressions.struct_expression,
    ast.TupleSet: Expressions.tuple_set,
    ast.Call: Expressions.call,
}
