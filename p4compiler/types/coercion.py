"""Implicit conversion of an expression to the type that its place asks for (specification, sections 8.11.2 and 8.13)."""

from __future__ import annotations

from p4compiler.diagnostics import Kind, Note
from p4compiler.syntax import ast
from p4compiler.types import constants, model
from p4compiler.types.checked import Value
from p4compiler.types.resolve import TypeResolver


class Coercion(TypeResolver):
    """Implicit conversion.

    Attributes:
        because: notes on where the type that is asked for comes from, while a value is converted to it.
    """

    because: tuple[Note, ...] = ()

    def coerce(self, expression: ast.Expression, target: model.Type, what: str = "value") -> bool:
        """Give the typed expression the type `target`.

        Numbers without a width take the target's; list and structure expressions take its shape, part by part; a serializable
        enum becomes its number (which is noted in `cast_of`). Anything else must have the type already. True if it fits.
        """
        source = self.type_of[expression]
        if source is target or source == target:
            return True
        if isinstance(source, model.UnknownType) or isinstance(target, model.UnknownType | model.DontCareType):
            return True
        match expression:
            case ast.ListExpression():
                return self._coerce_list(expression, source, target, what)
            case ast.StructExpression():
                return self._coerce_struct(expression, target, what)
            case ast.InvalidHeader():
                if isinstance(target, model.HeaderType | model.HeaderUnionType):
                    self.type_of[expression] = target
                    return True
                self.type_error(f"'{{#}}' is an invalid header, but the {what} has type '{target}'", expression)
                return False
            case ast.DefaultLiteral() if expression.ellipsis:
                return self._coerce_default(expression, target)
            case ast.Conditional() if isinstance(
                source, model.InfIntType | model.AnonymousStructType | model.TupleType
            ) and not isinstance(target, model.InfIntType):
                if not (self.coerce(expression.then, target, what) and self.coerce(expression.otherwise, target, what)):
                    return False
                self.type_of[expression] = target
                return True
        if isinstance(source, model.DontCareType):
            self.type_of[expression] = target
            return True
        if isinstance(source, model.InfIntType) and isinstance(target, model.BitsType):
            return self._coerce_number(expression, target)
        if isinstance(target, model.InfIntType) and self.is_compile_time(expression):
            number = self.underlying_number(expression, source)
            if isinstance(number, model.BitsType):
                self.checked.cast_of[expression] = target
                return True
        if isinstance(source, model.InfIntType) and isinstance(target, model.NewType):
            return self._coerce_to_new_type(expression, target)
        if isinstance(source, model.EnumType) and isinstance(target, model.BitsType) and target == source.underlying:
            self.checked.cast_of[expression] = target
            return True
        if self.has_unknown(source) or self.has_unknown(target):
            return True
        if isinstance(source, model.TupleType) and self.list_fits(source, target):
            self.checked.cast_of[expression] = target
            return True
        if self.same_block_type(source, target):
            return True
        message = f"the {what} has type '{source}', but '{target}' is needed{_hint(source, target)}"
        self.type_error(message, expression, (*self.block_difference(target, source, {}, set()), *self.because))
        return False

    def block_difference(
        self, formal: model.Type, actual: model.Type, bindings: model.Bindings, free: set[ast.TypeParameter]
    ) -> list[Note]:
        """Hook for parsers and controls, which compare by their parameters; see `Inference`."""
        return []

    def underlying_number(self, expression: ast.Expression, type_: model.Type) -> model.Type:
        """In arithmetic a serializable enum stands for its number."""
        if isinstance(type_, model.EnumType) and type_.underlying is not None:
            return type_.underlying
        return type_

    def list_fits(self, source: model.TupleType, target: model.Type) -> bool:
        """A tuple-typed value (not a literal list) may be used as `target`: never implicitly, but for lists of it."""
        return isinstance(target, model.ListType) and all(e == target.element for e in source.elements)

    def same_block_type(self, source: model.Type, target: model.Type) -> bool:
        """Hook for parsers and controls, whose types compare by their parameters; see `Calls`."""
        return False

    def _coerce_number(self, expression: ast.Expression, target: model.BitsType) -> bool:
        value = self.constant(expression)
        if not isinstance(value, int) or isinstance(value, bool):
            if isinstance(expression, ast.Unary | ast.Binary):
                self._retype_operands(expression, target)
                self.type_of[expression] = target
                return True
            if self.is_compile_time(expression):
                # A constructor's parameter: its value comes later, and is converted then.
                self.checked.cast_of[expression] = target
                return True
            self.type_error("the width of this number is not known", expression)
            return False
        self.check_fit(value, target, expression)
        self.type_of[expression] = target
        self.constant_of[expression] = constants.wrap(value, target)
        return True

    def _coerce_to_new_type(self, expression: ast.Expression, target: model.NewType) -> bool:
        """A number without a width may stand for a new type's value, as it may for the type behind it."""
        underlying: model.Type = target
        while isinstance(underlying, model.NewType):
            underlying = underlying.underlying
        if not isinstance(underlying, model.BitsType):
            self.type_error(f"a number cannot be used where '{target}' is needed", expression)
            return False
        if not self._coerce_number(expression, underlying):
            return False
        self.type_of[expression] = target
        return True

    def _retype_operands(self, expression: ast.Unary | ast.Binary, target: model.BitsType) -> None:
        operands = (expression.operand,) if isinstance(expression, ast.Unary) else (expression.left, expression.right)
        for operand in operands:
            if isinstance(self.type_of.get(operand), model.InfIntType):
                self._coerce_number(operand, target)

    def check_fit(self, value: int, target: model.BitsType, expression: ast.Node) -> None:
        """Warn of a constant that loses bits, as p4c does."""
        if constants.fits(value, target):
            return
        wrapped = constants.wrap(value, target)
        if target.signed or value < 0:
            message = f"value {value} does not fit in '{target}'; {wrapped} is used"
        else:
            message = f"value {value:#x} does not fit in {target.width} bits; {wrapped:#x} is used"
        kind = Kind.OVERFLOW if target.signed or value >= 0 else Kind.MISMATCH
        self.warning(kind, message, expression)

    def _coerce_list(self, expression: ast.ListExpression, source: model.Type, target: model.Type, what: str) -> bool:
        elements = expression.elements
        match target:
            case model.TupleType(types):
                wanted = types
                of = "elements of the tuple"
            case model.StructType() | model.HeaderType():
                wanted = tuple(field.type for field in self.fields(target))
                of = f"fields of '{target}'"
            case model.StackType(element, size):
                wanted = (element,) * size
                of = f"elements of '{target}'"
            case model.ListType(element):
                wanted = (element,) * len(elements)
                of = "elements"
            case model.SetType(inner):
                return self.coerce(expression, inner, what)
            case _:
                self.type_error(f"a list cannot be used as a {what} of type '{target}'", expression)
                return False
        open_ended = bool(elements) and isinstance(elements[-1], ast.DefaultLiteral)
        given = len(elements) - open_ended
        if given > len(wanted) or (given < len(wanted) and not open_ended):
            declared = target.declaration if isinstance(target, model.StructLikeType) else None
            notes = [Note("declared here", declared.name.span)] if declared is not None else []
            self.type_error(f"the list has {given} elements, but there are {len(wanted)} {of}", expression, notes)
            return False
        fine = True
        for part, type_ in zip(elements[:given], wanted, strict=False):
            fine = self.coerce(part, type_, "element") and fine
        if open_ended:
            rest = wanted[given:]
            self.type_of[elements[-1]] = model.TupleType(tuple(rest))
            fine = all(self.has_default(type_, elements[-1]) for type_ in rest) and fine
        if fine:
            self.type_of[expression] = target
            self._note_list_constant(expression, target)
        return fine

    def _note_list_constant(self, expression: ast.ListExpression, target: model.Type) -> None:
        """The value of a constant list, in the shape of its type."""
        values: list[Value] = []
        for element in expression.elements:
            value = self.constant(element)
            if value is None:
                return
            values.append(value)
        if isinstance(target, model.StructType | model.HeaderType):
            names = [field.name for field in self.fields(target)]
            self.constant_of[expression] = dict(zip(names, values, strict=False))
        else:
            self.constant_of[expression] = tuple(values)

    def _coerce_struct(self, expression: ast.StructExpression, target: model.Type, what: str) -> bool:
        if isinstance(target, model.SetType):
            return self._coerce_struct(expression, target.element, what)
        if not isinstance(target, model.StructType | model.HeaderType):
            self.type_error(f"a structure-valued expression cannot be used as a {what} of type '{target}'", expression)
            return False
        wanted = {field.name: field for field in self.fields(target)}
        fine = True
        for item in expression.fields:
            field = wanted.pop(item.name.text, None)
            if field is None:
                notes = self.field_notes(target, item.name.text)
                self.type_error(f"'{target}' has no field '{item.name.text}'", item.name, notes)
                fine = False
                continue
            fine = self.coerce(item.value, field.type, f"field '{field.name}'") and fine
        if expression.rest is not None:
            self.type_of[expression.rest] = model.TupleType(tuple(field.type for field in wanted.values()))
            fine = all(self.has_default(field.type, expression.rest) for field in wanted.values()) and fine
        elif wanted and fine:
            missing = ", ".join(f"'{name}'" for name in wanted)
            notes = [Note("declared here", target.declaration.name.span)]
            self.type_error(f"no value for field {missing} of '{target}'", expression, notes)
            fine = False
        if fine:
            self.type_of[expression] = target
            values = {item.name.text: self.constant(item.value) for item in expression.fields}
            if expression.rest is None and all(value is not None for value in values.values()):
                order = [field.name for field in self.fields(target)]
                self.constant_of[expression] = {name: value for name in order if (value := values[name]) is not None}
        return fine

    def _coerce_default(self, expression: ast.Expression, target: model.Type) -> bool:
        if not self.has_default(target, expression):
            return False
        self.type_of[expression] = target
        return True

    def has_default(self, type_: model.Type, at: ast.Node) -> bool:
        """The type has a default value (section 7.3); reports that it has none."""
        match type_:
            case model.ObjectType() | model.VarbitType() | model.MatchKindType() | model.StringType() | model.SetType():
                pass
            case model.VoidType() | model.TypeVariable() | model.ListType():
                pass
            case _:
                return True
        self.type_error(f"type '{type_}' has no default value", at)
        return False


def _hint(source: model.Type, target: model.Type) -> str:
    if isinstance(source, model.BitsType | model.BoolType) and isinstance(target, model.BitsType):
        return f"; '({target})' converts it"
    if isinstance(source, model.BitsType) and isinstance(target, model.BoolType):
        return "; compare it with a number" if source.width != 1 or source.signed else "; '(bool)' converts it"
    if isinstance(target, model.NewType) and source == target.underlying:
        return f"; '({target})' converts it"
    if isinstance(source, model.NewType) and target == source.underlying:
        return f"; '({target})' converts it"
    if isinstance(target, model.EnumType) and target.underlying is not None:
        return f"; '({target})' converts it"
    return ""
