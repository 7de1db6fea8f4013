"""Checking of parsers: states, transitions and value sets (specification, section 13)."""

from __future__ import annotations

from collections.abc import Sequence

from p4compiler.diagnostics import Kind, Note, did_you_mean
from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.checked import Value
from p4compiler.types.context import Place
from p4compiler.types.scope import Scope
from p4compiler.types.tables import Tables

FINAL_STATES = ("accept", "reject")


class Parsers(Tables):
    def parser_states(self, parser: ast.Parser) -> None:
        states: dict[str, ast.ParserState] = {}
        for state in parser.states:
            name = state.name.text
            if name in FINAL_STATES:
                self.error(Kind.INVALID, f"state '{name}' cannot be declared: it is built in", state.name)
            elif name in states:
                self.duplicate(state, states[name])
            states.setdefault(name, state)
        if "start" not in states:
            self.error(Kind.INVALID, f"parser '{parser.name.text}' has no state 'start'", parser.name)
        for state in parser.states:
            self._state(state, states)
        self._warn_unreachable(parser, states)

    def _state(self, state: ast.ParserState, states: dict[str, ast.ParserState]) -> None:
        outer = self.place
        self.place = Place.STATE
        self.scope = scope = Scope(self.scope)
        for item in state.body:
            self.item(item)
        transition = state.transition
        if isinstance(transition, ast.Name):
            self._target(transition, states)
        elif transition is not None:
            self._select(transition, states)
        else:
            self.warning(
                Kind.PARSER_TRANSITION, f"state '{state.name.text}' has no transition and ends in 'reject'", state.name
            )
        assert scope.outer is not None
        self.scope = scope.outer
        self.place = outer

    def _target(self, name: ast.Name, states: dict[str, ast.ParserState]) -> None:
        target = states.get(name.text)
        if target is not None:
            self.checked.declaration_of[name] = target
        elif name.text not in FINAL_STATES:
            known = [*states, *FINAL_STATES]
            self.error(Kind.NOT_FOUND, f"state '{name.text}' is not declared", name, did_you_mean(name.text, known))

    def _select(self, select: ast.Select, states: dict[str, ast.ParserState]) -> None:
        types: list[model.Type] = []
        for key in select.keys:
            type_ = self.expression(key)
            if isinstance(type_, model.InfIntType):
                self.type_error("the width of this value is not known", key)
                type_ = model.UNKNOWN
            elif not self._selectable(type_):
                self.type_error(f"a select cannot match a value of type '{type_}'", key)
                type_ = model.UNKNOWN
            types.append(type_)
        if len(select.keys) == 1 and isinstance(types[0], model.TupleType):
            types = list(types[0].elements)
        default: ast.Expression | None = None
        for case in select.cases:
            if default is not None:
                self.warning(
                    Kind.PARSER_TRANSITION,
                    "this case is never reached",
                    case,
                    [Note("everything goes here", default.span)],
                )
            self.match_keyset(case.keyset, types, "select value")
            self._no_calls(case.keyset)
            self._constant_set(case.keyset)
            if isinstance(case.keyset, ast.DefaultLiteral | ast.DontCare):
                default = default or case.keyset
            self._target(case.target, states)
        self._warn_of_choice(select)

    def _warn_of_choice(self, select: ast.Select) -> None:
        """A select that always goes the same way."""
        values = [self.operand_value(key) for key in select.keys]
        if all(value is not None for value in values):
            self._warn_of_known_choice(select, values)
            return
        targets = {case.target.text for case in select.cases}
        if (
            len(targets) == 1
            and len(select.cases) > 1
            and any(isinstance(case.keyset, ast.DefaultLiteral | ast.DontCare) for case in select.cases)
        ):
            message = f"all cases lead to '{select.cases[0].target.text}', whatever is selected by"
            self.warning(Kind.PARSER_TRANSITION, message, select)

    def _warn_of_known_choice(self, select: ast.Select, values: Sequence[Value | None]) -> None:
        taken: ast.SelectCase | None = None
        open_ended = False
        for case in select.cases:
            if taken is not None:
                notes = [Note("the value selected by is known, and goes here", taken.span)]
                self.warning(Kind.PARSER_TRANSITION, "this case is never reached", case, notes)
                continue
            matches = self._contains(case.keyset, values)
            if matches:
                taken = case
            open_ended = open_ended or matches is None
        if taken is None and not open_ended:
            self.warning(Kind.PARSER_TRANSITION, "the value selected by is known, and no case matches it", select)

    def _contains(self, keyset: ast.Expression, values: Sequence[Value | None]) -> bool | None:
        """The set has the values in it; None if that is not known now."""
        if isinstance(keyset, ast.DefaultLiteral | ast.DontCare):
            return True
        elements = keyset.elements if isinstance(keyset, ast.TupleSet | ast.ListExpression) else (keyset,)
        if len(elements) != len(values):
            return None
        found = [self._has(element, value) for element, value in zip(elements, values, strict=True)]
        if any(one is False for one in found):
            return False
        return True if all(found) else None

    def _has(self, element: ast.Expression, value: Value | None) -> bool | None:
        if isinstance(element, ast.DefaultLiteral | ast.DontCare):
            return True
        if isinstance(element, ast.Binary) and isinstance(self.type_of.get(element), model.SetType):
            left, right = self.number_of(element.left), self.number_of(element.right)
            if left is None or right is None or not isinstance(value, int):
                return None
            if element.operator is ast.BinaryOperator.MASK:
                return left & right == value & right
            return left <= value <= right
        own = self.operand_value(element)
        return None if own is None else own == value

    def _constant_set(self, keyset: ast.Expression) -> None:
        """The bounds of a range and the two sides of a mask are constants."""
        if isinstance(keyset, ast.TupleSet):
            for element in keyset.elements:
                self._constant_set(element)
        elif isinstance(keyset, ast.Binary) and isinstance(self.type_of.get(keyset), model.SetType):
            for part in (keyset.left, keyset.right):
                if not self.is_compile_time(part):
                    is_range = keyset.operator is ast.BinaryOperator.RANGE
                    kind = Kind.UNSUPPORTED_ON_TARGET if is_range else Kind.INVALID
                    self.error(kind, "a mask or range in a select must be constant", part)

    def _selectable(self, type_: model.Type) -> bool:
        match type_:
            case model.TupleType(elements):
                return all(self._selectable(element) for element in elements)
            case model.StructType():
                return False
            case model.NewType(_, underlying):
                return self._selectable(underlying)
        return isinstance(
            type_,
            model.BitsType | model.BoolType | model.EnumType | model.ErrorType | model.UnknownType | model.TypeVariable,
        )

    def _no_calls(self, keyset: ast.Expression) -> None:
        """A set that is matched cannot have effects."""
        match keyset:
            case ast.Call():
                if keyset not in self.constant_of:
                    call = self.checked.call_of.get(keyset)
                    if call is None or call.method != "isValid":
                        self.type_error("nothing can be called in a select's case", keyset)
            case ast.TupleSet() | ast.ListExpression():
                for element in keyset.elements:
                    self._no_calls(element)
            case ast.Binary():
                self._no_calls(keyset.left)
                self._no_calls(keyset.right)

    def _warn_unreachable(self, parser: ast.Parser, states: dict[str, ast.ParserState]) -> None:
        reached: set[str] = set()
        waiting = ["start"]
        while waiting:
            name = waiting.pop()
            if name in reached:
                continue
            reached.add(name)
            if name not in states:
                continue
            transition = states[name].transition
            if isinstance(transition, ast.Name):
                waiting.append(transition.text)
            elif transition is None:
                waiting.append("reject")
            else:
                waiting.extend(case.target.text for case in transition.cases)
                if not any(isinstance(case.keyset, ast.DefaultLiteral | ast.DontCare) for case in transition.cases):
                    waiting.append("reject")  # where no case applies
        if "start" in states and not reached & set(FINAL_STATES):
            if all(name in states for name in reached):
                self.error(Kind.UNREACHABLE, f"parser '{parser.name.text}' never reaches accept or reject", parser.name)
        elif "start" in states and "accept" not in reached:
            message = f"parser '{parser.name.text}' never reaches accept"
            self.warning(Kind.UNREACHABLE, message, parser.name)

    def value_set(self, declaration: ast.ValueSet) -> None:
        element = self.resolve(declaration.type)
        if not isinstance(
            self.underlying_of(element),
            model.BitsType
            | model.BoolType
            | model.EnumType
            | model.StructType
            | model.TupleType
            | model.ErrorType
            | model.UnknownType
            | model.TypeVariable,
        ):
            self.type_error(f"a value set cannot hold values of type '{element}'", declaration.type)
        self.expression(declaration.size)
        if not self.is_compile_time(declaration.size):
            message = "the size of a value set must be a compile-time constant"
            self.error(Kind.EXPECTED, message, declaration.size)
        self.resolved_type_of[declaration] = model.SetType(element)
        self.declare(declaration)
