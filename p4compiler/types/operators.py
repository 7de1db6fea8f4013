"""The typing of unary and binary operators, casts and slices (specification, sections 8.5 to 8.11)."""

from __future__ import annotations

from p4compiler.diagnostics import Kind
from p4compiler.syntax import ast
from p4compiler.syntax.ast import BinaryOperator, UnaryOperator
from p4compiler.types import constants, model
from p4compiler.types.checked import Value
from p4compiler.types.coercion import Coercion
from p4compiler.types.resolve import MAX_WIDTH

COMPARISONS = (BinaryOperator.LT, BinaryOperator.LE, BinaryOperator.GT, BinaryOperator.GE)
EQUALITIES = (BinaryOperator.EQ, BinaryOperator.NE)
SHIFTS = (BinaryOperator.SHL, BinaryOperator.SHR)
LOGICAL = (BinaryOperator.LOGICAL_AND, BinaryOperator.LOGICAL_OR)
SATURATING = (BinaryOperator.ADD_SAT, BinaryOperator.SUB_SAT)
DIVISIONS = (BinaryOperator.DIV, BinaryOperator.MOD)
SETS = (BinaryOperator.MASK, BinaryOperator.RANGE)
_LITERALS = (ast.BoolLiteral, ast.StringLiteral, ast.ListExpression)


class Operators(Coercion):
    # -- unary

    def unary(self, expression: ast.Unary) -> model.Type:
        operator = expression.operator
        operand = expression.operand
        type_ = self.underlying_number(operand, self.expression(operand))
        if isinstance(type_, model.UnknownType):
            return type_
        value = self.constant(operand)
        if operator is UnaryOperator.NOT:
            if not isinstance(type_, model.BoolType):
                return self._bad_operand(operator.value, operand, type_)
            if isinstance(value, bool):
                self.constant_of[expression] = not value
            return type_
        numeric = (model.BitsType,) if operator is UnaryOperator.COMPLEMENT else (model.BitsType, model.InfIntType)
        if not isinstance(type_, numeric):
            if isinstance(type_, model.InfIntType):
                self.error(Kind.INVALID, "'~' needs a number with a known width, such as 8w1", expression)
                return model.UNKNOWN
            return self._bad_operand(operator.value, operand, type_)
        if isinstance(value, int):
            result = {UnaryOperator.NEGATE: -value, UnaryOperator.COMPLEMENT: ~value}.get(operator, value)
            self.constant_of[expression] = constants.wrap(result, type_)
        return type_

    def _bad_operand(
        self, operator: str, operand: ast.Expression, type_: model.Type, of_literal: Kind = Kind.EXPECTED
    ) -> model.Type:
        """An operand of a wrong type."""
        kind = of_literal if isinstance(operand, _LITERALS) else Kind.TYPE_ERROR
        self.error(kind, f"'{operator}' cannot be applied to a value of type '{type_}'", operand)
        return model.UNKNOWN

    def _take_number(self, expression: ast.Expression, type_: model.Type) -> None:
        """Note that a serializable enum operand is converted."""
        if isinstance(self.type_of[expression], model.EnumType):
            self.checked.cast_of[expression] = type_

    # -- binary

    def binary(self, expression: ast.Binary) -> model.Type:
        # A chain a + b + c … is as deep as it is long: walk down its left side in a loop.
        chain = [expression]
        while isinstance(left := chain[-1].left, ast.Binary):
            chain.append(left)
        self.expression(chain[-1].left)
        for link in reversed(chain):
            self.expression(link.right)
            self.type_of[link] = self._binary(link)
        return self.type_of[expression]

    def _binary(self, expression: ast.Binary) -> model.Type:
        operator, left, right = expression.operator, expression.left, expression.right
        left_type, right_type = self.type_of[left], self.type_of[right]
        if isinstance(left_type, model.UnknownType) or isinstance(right_type, model.UnknownType):
            boolean = operator in EQUALITIES or operator in COMPARISONS or operator in LOGICAL
            return model.BOOL if boolean else model.UNKNOWN
        if operator in EQUALITIES:
            result = self._equality(expression, left_type, right_type)
        elif operator in LOGICAL:
            result = self._logical(expression, left_type, right_type)
        elif operator in SETS:
            return self._set(expression, left_type, right_type)
        elif operator in SHIFTS:
            result = self._shift(expression, left_type, right_type)
        elif operator is BinaryOperator.CONCAT:
            return self._concatenation(expression, left_type, right_type)
        else:
            result = self._arithmetic(expression, left_type, right_type)
        if not isinstance(result, model.UnknownType):
            self._fold(expression)
        return result

    def _fold(self, expression: ast.Binary) -> None:
        """Note the value of an operation on constants."""
        left, right = self.operand_value(expression.left), self.operand_value(expression.right)
        operator = expression.operator
        if right is None:
            return
        if left is None:
            if operator in DIVISIONS and right == 0 and not isinstance(right, bool):
                self.error(Kind.EXPRESSION, "division by zero", expression)
            return
        type_ = self.type_of[expression.left]
        type_ = self.underlying_number(expression.left, type_)
        try:
            value = constants.binary(operator, left, right, type_)
        except constants.EvaluationError as problem:
            self.error(problem.kind, str(problem), expression)
            return
        if value is not None:
            self.constant_of[expression] = value

    def operand_value(self, expression: ast.Expression) -> Value | None:
        """The constant value of an operand; the number of a serializable enum's member if it is to be converted."""
        value = self.constant(expression)
        if value is not None and expression in self.checked.cast_of:
            return self.number_of(expression)
        return value

    def number_of(self, expression: ast.Expression) -> int | None:
        """The number behind a constant of a number's or serializable enum's type."""
        value = self.constant(expression)
        type_ = self.type_of[expression]
        if isinstance(type_, model.EnumType) and isinstance(value, str):
            member = self.enum_members.get(type_.declaration, {}).get(value)
            return self.checked.enum_value_of.get(member) if member is not None else None
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def _equality(self, expression: ast.Binary, left_type: model.Type, right_type: model.Type) -> model.Type:
        left, right = expression.left, expression.right
        for operand, type_ in ((left, left_type), (right, right_type)):
            if isinstance(
                type_,
                model.ObjectType
                | model.TypeVariable
                | model.ApplyResultType
                | model.ActionRunType
                | model.VoidType
                | model.SetType
                | model.MatchKindType,
            ):
                self.type_error(f"values of type '{type_}' cannot be compared", operand)
                return model.BOOL
        if left_type == right_type:
            if isinstance(left_type, model.AnonymousStructType):
                self.type_error("the types of the compared structures are not known; a cast can name them", expression)
            return model.BOOL
        if isinstance(left_type, model.EnumType) or isinstance(right_type, model.EnumType):
            left_type = self.underlying_number(left, left_type)
            right_type = self.underlying_number(right, right_type)
            self._take_number(left, left_type)
            self._take_number(right, right_type)
            if left_type == right_type:
                return model.BOOL
        literal = model.InfIntType | model.AnonymousStructType | model.DontCareType
        if isinstance(right_type, literal) or isinstance(right, ast.ListExpression | ast.InvalidHeader):
            if self._comparable(right, right_type, left_type) and not isinstance(left_type, model.InfIntType):
                self.coerce(right, left_type, "right operand")
                return model.BOOL
        elif (
            isinstance(left_type, literal) or isinstance(left, ast.ListExpression | ast.InvalidHeader)
        ) and self._comparable(left, left_type, right_type):
            self.coerce(left, right_type, "left operand")
            return model.BOOL
        self.type_error(f"'{left_type}' cannot be compared with '{right_type}'", expression)
        return model.BOOL

    def _comparable(self, literal: ast.Expression, literal_type: model.Type, other: model.Type) -> bool:
        """The literal can take the other operand's type."""
        if isinstance(literal_type, model.InfIntType):
            return isinstance(other, model.BitsType)
        if isinstance(literal, ast.InvalidHeader):
            return isinstance(other, model.HeaderType | model.HeaderUnionType)
        return isinstance(other, model.StructType | model.HeaderType | model.TupleType | model.StackType)

    def _logical(self, expression: ast.Binary, left_type: model.Type, right_type: model.Type) -> model.Type:
        for operand, type_ in ((expression.left, left_type), (expression.right, right_type)):
            if not isinstance(type_, model.BoolType):
                self._bad_operand(expression.operator.value, operand, type_, Kind.TYPE_ERROR)
                return model.UNKNOWN
        left, right = self.constant(expression.left), self.constant(expression.right)
        stops = expression.operator is BinaryOperator.LOGICAL_OR
        if left is stops and right is None:  # the right operand is not evaluated
            self.constant_of[expression] = stops
        return model.BOOL

    def _numbers(self, expression: ast.Binary, left_type: model.Type, right_type: model.Type, what: str) -> model.Type:
        """The common number type of both operands, a literal taking the other's width."""
        left, right = expression.left, expression.right
        left_number = self.underlying_number(left, left_type)
        right_number = self.underlying_number(right, right_type)
        for operand, type_ in ((left, left_number), (right, right_number)):
            if not isinstance(type_, model.BitsType | model.InfIntType):
                hint = ", '++' joins strings" if isinstance(type_, model.StringType) else ""
                self.type_error(f"'{what}' cannot be applied to a value of type '{type_}'{hint}", operand)
                return model.UNKNOWN
        self._take_number(left, left_number)
        self._take_number(right, right_number)
        if left_number == right_number:
            return left_number
        if isinstance(left_number, model.InfIntType):
            self.coerce(left, right_number)
            return right_number
        if isinstance(right_number, model.InfIntType):
            self.coerce(right, left_number)
            return left_number
        constant = isinstance(left, ast.IntegerLiteral) and isinstance(right, ast.IntegerLiteral)
        constant = constant and expression.operator not in SETS
        message = f"'{what}' needs operands of one type, but these are '{left_type}' and '{right_type}'"
        self.error(Kind.INVALID if constant else Kind.TYPE_ERROR, message, expression)
        return model.UNKNOWN

    def _arithmetic(self, expression: ast.Binary, left_type: model.Type, right_type: model.Type) -> model.Type:
        operator = expression.operator
        if operator in DIVISIONS:
            for operand in (expression.left, expression.right):
                value = self.operand_value(operand)
                if isinstance(value, int) and value < 0:
                    folded = all(self.constant(side) is not None for side in (expression.left, expression.right))
                    message = f"'{operator.value}' is not defined for negative numbers"
                    self.error(Kind.INVALID if folded else Kind.TYPE_ERROR, message, expression)
                    return model.UNKNOWN
        type_ = self._numbers(expression, left_type, right_type, operator.value)
        if isinstance(type_, model.UnknownType):
            return model.BOOL if operator in COMPARISONS else type_
        if operator in DIVISIONS and isinstance(type_, model.BitsType) and type_.signed:
            self.type_error(f"'{operator.value}' is not defined for signed values", expression)
            return model.UNKNOWN
        if operator in SATURATING and not isinstance(type_, model.BitsType):
            self.type_error(f"'{operator.value}' needs operands with a known width", expression)
            return model.UNKNOWN
        return model.BOOL if operator in COMPARISONS else type_

    def _shift(self, expression: ast.Binary, left_type: model.Type, right_type: model.Type) -> model.Type:
        left, right = expression.left, expression.right
        left_number = self.underlying_number(left, left_type)
        right_number = self.underlying_number(right, right_type)
        if not isinstance(left_number, model.BitsType | model.InfIntType):
            return self._bad_operand(expression.operator.value, left, left_type)
        self._take_number(left, left_number)
        self._take_number(right, right_number)
        amount = self.operand_value(right)
        if isinstance(right_number, model.InfIntType) and isinstance(amount, int):
            if amount < 0:
                self.error(Kind.INVALID, f"shift by a negative amount: {amount}", expression)
                return model.UNKNOWN
        elif not isinstance(right_number, model.BitsType) or (right_number.signed and amount is None):
            self.type_error(
                f"a shift's amount must be an unsigned number (or a constant), not of type '{right_type}'", right
            )
            return model.UNKNOWN
        if isinstance(left_number, model.InfIntType) and amount is None:
            self.type_error("the shifted number's width is not known; write it with a width, such as 8w1", left)
            return model.UNKNOWN
        if isinstance(left_number, model.BitsType) and isinstance(amount, int) and amount >= left_number.width:
            self.warning(Kind.OVERFLOW, f"shift of a {left_number.width}-bit value by {amount}", expression)
        return left_number

    def _concatenation(self, expression: ast.Binary, left_type: model.Type, right_type: model.Type) -> model.Type:
        left, right = expression.left, expression.right
        if isinstance(left_type, model.StringType) and isinstance(right_type, model.StringType):
            first, second = self.constant(left), self.constant(right)
            if isinstance(first, str) and isinstance(second, str):
                self.constant_of[expression] = first + second
            else:
                self.type_error("only constant strings can be joined", expression)
            return left_type
        left_number = self.underlying_number(left, left_type)
        right_number = self.underlying_number(right, right_type)
        for operand, type_ in ((left, left_number), (right, right_number)):
            if isinstance(type_, model.InfIntType):
                self.type_error("an operand of '++' needs a width, such as 8w1", operand)
                return model.UNKNOWN
            if not isinstance(type_, model.BitsType):
                return self._bad_operand("++", operand, type_, Kind.TYPE_ERROR)
        assert isinstance(left_number, model.BitsType) and isinstance(right_number, model.BitsType)
        self._take_number(left, left_number)
        self._take_number(right, right_number)
        result = model.bits(left_number.width + right_number.width, left_number.signed)
        high, low = self.operand_value(left), self.operand_value(right)
        if isinstance(high, int) and isinstance(low, int):
            self.constant_of[expression] = constants.concatenate(
                high, left_number.width, low, right_number.width, result
            )
        return result

    def _set(self, expression: ast.Binary, left_type: model.Type, right_type: model.Type) -> model.Type:
        """`a &&& b` and `a .. b`."""
        operator = expression.operator
        left, right = expression.left, expression.right
        if operator is BinaryOperator.RANGE and left_type == right_type and isinstance(left_type, model.EnumType):
            left_type = right_type = self.underlying_number(left, left_type)
            self._take_number(left, left_type)
            self._take_number(right, right_type)
        type_ = self._numbers(expression, left_type, right_type, operator.value)
        if isinstance(type_, model.UnknownType):
            return type_
        if operator is BinaryOperator.MASK and isinstance(type_, model.BitsType) and type_.signed:
            self.type_error("'&&&' cannot be applied to signed values", expression)
        if operator is BinaryOperator.RANGE:
            low, high = self.operand_value(left), self.operand_value(right)
            if isinstance(low, int) and isinstance(high, int) and low > high:
                self.warning(Kind.INVALID, f"the range {low} .. {high} is empty", expression)
        return model.SetType(type_)

    # -- casts

    def cast(self, expression: ast.Cast) -> model.Type:
        target = self.resolve(expression.target)
        operand = expression.operand
        source = self.expression(operand)
        if isinstance(source, model.UnknownType) or isinstance(target, model.UnknownType):
            return target
        if isinstance(target, model.DontCareType) or self.mentions_dont_care(target):
            self.type_error("'_' cannot be the target of a cast", expression.target)
            return model.UNKNOWN
        if self._cast_composite(operand, source, target):
            value = self.constant(operand)
            if value is not None:
                self.constant_of[expression] = value
            return target
        if not self.can_cast(source, target, operand):
            of_number = isinstance(target, model.BoolType) and self.constant(operand) is not None
            kind = Kind.INVALID if of_number else Kind.TYPE_ERROR
            self.error(kind, f"a value of type '{source}' cannot be cast to '{target}'", expression)
            return target
        self._fold_cast(expression, source, target)
        return target

    def mentions_dont_care(self, type_: model.Type) -> bool:
        match type_:
            case model.DontCareType():
                return True
            case model.StructLikeType(_, arguments) | model.ObjectType(_, arguments) | model.TupleType(arguments):
                return any(self.mentions_dont_care(argument) for argument in arguments)
            case model.StackType(element, _) | model.ListType(element) | model.SetType(element):
                return self.mentions_dont_care(element)
        return False

    def _cast_composite(self, operand: ast.Expression, source: model.Type, target: model.Type) -> bool:
        """A cast that gives a list or structure expression its type; reports what does not fit."""
        if isinstance(operand, ast.ListExpression | ast.StructExpression | ast.InvalidHeader | ast.DefaultLiteral):
            self.coerce(operand, target, "cast")
            return True
        return False

    def can_cast(self, source: model.Type, target: model.Type, operand: ast.Expression) -> bool:
        """Explicit conversions (section 8.11.1)."""
        if source == target:
            return not isinstance(target, model.ObjectType | model.VoidType | model.SetType)
        match source, target:
            case model.BitsType(width, signed), model.BitsType(other_width, other_signed):
                return signed == other_signed or width == other_width
            case model.BitsType(1, False), model.BoolType():
                return True
            case model.BoolType(), model.BitsType(1, False):
                return True
            case model.InfIntType(), model.BoolType():
                return self.constant(operand) in (0, 1)
            case model.InfIntType(), model.BitsType():
                return True
            case model.BitsType(), model.InfIntType():
                return True
            case model.NewType(_, underlying), model.NewType(_, other):
                return self.can_cast(underlying, target, operand) or self.can_cast(source, other, operand)
            case model.NewType(_, underlying), _:
                return self.can_cast(underlying, target, operand)
            case _, model.NewType(_, underlying):
                return source == underlying or (
                    isinstance(source, model.InfIntType | model.EnumType) and self.can_cast(source, underlying, operand)
                )
            case model.EnumType(_, underlying), _ if underlying is not None:
                return self.can_cast(underlying, target, operand)
            case _, model.EnumType(_, underlying) if underlying is not None:
                return self.can_cast(source, underlying, operand)
            case model.TupleType(elements), model.ListType(element):
                return all(e == element for e in elements)
            case model.TypeVariable(), model.TypeVariable():
                return source == target
        return False

    def _fold_cast(self, expression: ast.Cast, source: model.Type, target: model.Type) -> None:
        value: Value | None = self.constant(expression.operand)
        if value is None:
            return
        if isinstance(source, model.EnumType) and source.underlying is not None:
            number = self.number_of(expression.operand)
            if number is None:
                return
            value = number
        if isinstance(source, model.InfIntType) and isinstance(target, model.BitsType) and isinstance(value, int):
            self.check_fit(value, target, expression)
        if isinstance(target, model.EnumType) and target.underlying is not None:
            folded = constants.cast(value, source, target.underlying)
            for member in target.declaration.members:
                if self.checked.enum_value_of.get(member) == folded and folded is not None:
                    self.constant_of[expression] = member.name.text
                    return
            return
        folded = constants.cast(value, source, target)
        if folded is not None:
            self.constant_of[expression] = folded

    # -- slices

    def slice(self, expression: ast.Slice) -> model.Type:
        type_ = self.expression(expression.base)
        high_type, low_type = self.expression(expression.high), self.expression(expression.low)
        if any(isinstance(t, model.UnknownType) for t in (type_, high_type, low_type)):
            return model.UNKNOWN
        type_ = self.underlying_number(expression.base, type_)
        if not isinstance(type_, model.BitsType | model.InfIntType):
            self.type_error(f"bits cannot be taken from a value of type '{type_}'", expression.base)
            return model.UNKNOWN
        self._take_number(expression.base, type_)
        for part in (expression.high, expression.low):
            part_type = self.type_of[part]
            if not isinstance(self.underlying_number(part, part_type), model.BitsType | model.InfIntType):
                self.error(Kind.EXPECTED, f"a bit's index must be a number, not of type '{part_type}'", part)
                return model.UNKNOWN
        if expression.plus:
            return self._plus_slice(expression, type_)
        high, low = self.number_of(expression.high), self.number_of(expression.low)
        for part, value in ((expression.high, high), (expression.low, low)):
            if value is None:
                self.type_error("a bit's index must be a compile-time constant", part)
                return model.UNKNOWN
            if value < 0:
                self.error(Kind.EXPECTED, f"a bit's index cannot be negative: {value}", part)
                return model.UNKNOWN
            if isinstance(type_, model.BitsType) and value >= type_.width:
                self.type_error(f"bit {value} is outside of a value with {type_.width} bits", part)
                return model.UNKNOWN
            if value >= MAX_WIDTH:
                self.error(Kind.OVERLIMIT, f"bit {value} is beyond the largest supported width, {MAX_WIDTH}", part)
                return model.UNKNOWN
        assert high is not None and low is not None
        if low > high:
            self.type_error(f"the low bit, {low}, is above the high bit, {high}", expression)
            return model.UNKNOWN
        whole = self.operand_value(expression.base)
        if isinstance(whole, int):
            self.constant_of[expression] = constants.slice_bits(whole, high, low)
        return model.bits(high - low + 1)

    def _plus_slice(self, expression: ast.Slice, type_: model.Type) -> model.Type:
        """`base[low +: width]`: the width is constant, the low bit need not be."""
        if not isinstance(type_, model.BitsType):
            self.type_error("'+:' needs a value with a known width, such as 8w1", expression.base)
            return model.UNKNOWN
        width = self.number_of(expression.high)
        if width is None:
            self.type_error("the number of bits must be a compile-time constant", expression.high)
            return model.UNKNOWN
        if width <= 0 or width > type_.width:
            self.type_error(f"{width} bits cannot be taken from a value with {type_.width}", expression.high)
            return model.UNKNOWN
        low = self.number_of(expression.low)
        if low is not None:
            if low < 0 or low + width > type_.width:
                self.type_error(
                    f"bits {low} to {low + width - 1} are outside of a value with {type_.width} bits", expression.low
                )
                return model.UNKNOWN
            value = self.operand_value(expression.base)
            if isinstance(value, int):
                self.constant_of[expression] = constants.slice_bits(value, low + width - 1, low)
        elif isinstance(self.type_of[expression.low], model.BitsType) and (
            self.type_of[expression.low].signed  # type: ignore[attr-defined]
        ):
            self.type_error("a bit's index must be unsigned", expression.low)
        return model.bits(width)
