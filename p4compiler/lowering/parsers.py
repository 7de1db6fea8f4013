"""Parsers: states, transitions and value sets. A parser that is applied in a state is inlined as states of its own."""

from __future__ import annotations

from itertools import product
from math import prod

from p4compiler.diagnostics import Kind
from p4compiler.ir import expressions as ex
from p4compiler.ir import objects as ob
from p4compiler.ir.program import Pattern, SelectCase, Transition, ValueSetCase
from p4compiler.ir.types import Bits, width_of
from p4compiler.lowering import values as v
from p4compiler.lowering.annotations import external_name, get_annotation, has_annotation, lower_annotations
from p4compiler.lowering.controls import ControlLowering
from p4compiler.lowering.emitter import StateEmitter
from p4compiler.lowering.errors import Abandoned
from p4compiler.lowering.instances import ParserInstance, child_name
from p4compiler.source import Span
from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.checked import ResolvedCall

ACCEPT = "accept"
REJECT = "reject"
START = "start"
MAX_DEPTH = 100
"""Of parsers applied within one another."""


class BodyLowering(ControlLowering):
    """All of it: bodies of controls and of parsers."""

    _parser: ParserInstance | None = None
    _parser_depth = 0

    def run_parser(self, instance: ParserInstance, accept: str | None, prefix: str = "") -> str:
        """Emit the states of a parser whose parameters are bound; the name of the first.

        Args:
            accept: the state to go on with, None for the end of all parsing.
            prefix: of the states' names.
        """
        emitter = self.emitter
        assert isinstance(emitter, StateEmitter)
        declaration = instance.declaration
        names: dict[str, str | None] = {
            state.name.text: emitter.new_name(prefix + state.name.text) for state in declaration.states
        }
        names[ACCEPT] = accept
        names[REJECT] = None
        outer, self._parser = self._parser, instance
        try:
            with self.within(instance.scope):
                self._declare(instance)
                # The start state comes first, whatever its place in the text.
                for state in sorted(declaration.states, key=lambda state: state.name.text != START):
                    self._state(instance, state, names)
        finally:
            self._parser = outer
        start = names.get(START)
        if start is None:
            raise self.session.refused("the parser has no start state", declaration.name.span, Kind.INVALID)
        return start

    def _declare(self, instance: ParserInstance) -> None:
        for declaration in instance.declaration.locals:
            match declaration:
                case ast.Variable():
                    self.declare_variable(declaration)
                case ast.Instantiation():
                    made = self.construct(declaration, instance.name, instance.objects)
                    self.scope.bind(declaration, v.InstanceValue(made))
                case ast.Constant(value=value):
                    self.scope.bind(declaration, self.value_as(value, self.resolved(declaration)))
                case ast.ValueSet():
                    self._value_set(instance, declaration)

    def _state(self, instance: ParserInstance, state: ast.ParserState, names: dict[str, str | None]) -> None:
        emitter = self.emitter
        assert isinstance(emitter, StateEmitter)
        name = names[state.name.text]
        assert name is not None
        emitter.begin(name, state.span)
        if state.name.text == START:
            for declaration in instance.declaration.locals:
                if isinstance(declaration, ast.Variable):
                    self.initialize_variable(declaration)
        self.statements(state.body)
        try:
            emitter.end(self._transition(state, names))
        except Abandoned:
            emitter.goto(None, state.span)

    # -- application of a parser in a state

    def apply_parser(self, receiver: v.Value, call: ResolvedCall, span: Span) -> None:
        emitter = self.emitter
        if not isinstance(receiver, v.InstanceValue) or not isinstance(receiver.instance, ParserInstance):
            raise self.session.refused("only a parser can be applied here", span, Kind.TYPE_ERROR)
        if not isinstance(emitter, StateEmitter):
            raise self.session.refused("a parser can only be applied in a parser", span, Kind.INVALID)
        if self._parser_depth > MAX_DEPTH:
            raise self.session.refused("parsers are applied within one another too deeply", span, Kind.OVERLIMIT)
        instance = receiver.instance
        self.count_call(instance.name, span)
        copies = self.bind_instance(instance, instance.declaration.parameters, call, span)
        after = emitter.new_name(f"{emitter.current}_after")
        entry = emitter.new_name(f"{emitter.current}_{instance.declaration.name.text}")
        emitter.goto(entry, span)
        self._parser_depth += 1
        outer_frames, self.frames = self.frames, []
        try:
            first = self.run_parser(instance, after, f"{entry}_")
        finally:
            self._parser_depth -= 1
            self.frames = outer_frames
        emitter.begin(entry, span)
        emitter.goto(first, span)
        emitter.begin(after, span)
        self.copy_out(copies)

    # -- transitions

    def _target(self, name: ast.Name, names: dict[str, str | None]) -> str | None:
        if name.text == REJECT:
            self.session.diagnostics.warning(
                Kind.UNSUPPORTED, "the target accepts a packet that goes to 'reject'", name.span
            )
        return names[name.text]

    def _transition(self, state: ast.ParserState, names: dict[str, str | None]) -> Transition:
        match state.transition:
            case None:
                return Transition(state.span, (), (SelectCase(state.span, (), None),))
            case ast.Name() as name:
                return Transition(name.span, (), (SelectCase(name.span, (), self._target(name, names)),))
            case ast.Select() as select:
                return self._select(select, names)

    def _select(self, select: ast.Select, names: dict[str, str | None]) -> Transition:
        values = self.values(select.keys)
        keys = tuple(
            scalar for value, key in zip(values, select.keys, strict=True) for scalar in self._scalars(value, key.span)
        )
        cases: list[SelectCase | ValueSetCase] = []
        for case in select.cases:
            cases += self._case(case, keys, names)
        return Transition(select.span, keys, tuple(cases))

    def _case(
        self, case: ast.SelectCase, keys: tuple[ex.Expression, ...], names: dict[str, str | None]
    ) -> list[SelectCase | ValueSetCase]:
        keyset, target = case.keyset, self._target(case.target, names)
        sets: tuple[ast.Expression, ...] = (keyset,)
        if isinstance(keyset, ast.TupleSet | ast.ListExpression):
            sets = keyset.elements
        if len(sets) == 1 and isinstance(sets[0], ast.DefaultLiteral | ast.DontCare):
            return [SelectCase(case.span, tuple(Pattern(0, 0) for _ in keys), target)]
        if len(sets) == 1 and isinstance(sets[0], ast.PathExpression):
            declaration = self.checked.declaration_of.get(sets[0])
            if isinstance(declaration, ast.ValueSet):
                value_set = self._value_set(self._parser, declaration)
                self.session.used_value_sets.add(value_set)
                return [ValueSetCase(case.span, value_set, target)]
        alternatives = [self._patterns(part, key) for part, key in zip(self._flat_sets(sets, keys), keys, strict=True)]
        # Ranges multiply where several keys have one.
        self.session.count_select_cases(prod(map(len, alternatives)), case.span)
        return [SelectCase(case.span, combination, target) for combination in product(*alternatives)]

    def _flat_sets(
        self, sets: tuple[ast.Expression, ...], keys: tuple[ex.Expression, ...]
    ) -> list[ast.Expression | ex.Expression]:
        """One keyset for each key; a structure in one of them is taken apart."""
        if len(sets) == len(keys):
            return list(sets)
        result: list[ast.Expression | ex.Expression] = []
        for part in sets:
            if isinstance(part, ast.DefaultLiteral | ast.DontCare | ast.Binary):
                result.append(part)
            else:
                result += self._scalars(self.value(part), part.span)
        if len(result) != len(keys):
            raise self.session.refused("the keyset does not fit the keys", sets[0].span, Kind.TYPE_ERROR)
        return result

    def _patterns(self, keyset: ast.Expression | ex.Expression, key: ex.Expression) -> list[Pattern]:
        """The patterns that together are the keyset: a range may need several."""
        width = width_of(key.type)
        ones = (1 << width) - 1
        if isinstance(keyset, ex.Expression):
            return [Pattern(self._constant(v.Scalar(keyset), keyset.span) & ones)]

        def number(expression: ast.Expression) -> int:
            return self._constant(self.value(expression), expression.span) & ones

        match keyset:
            case ast.DefaultLiteral() | ast.DontCare():
                return [Pattern(0, 0)]
            case ast.PathExpression() if isinstance(self.checked.declaration_of.get(keyset), ast.ValueSet):
                raise self.session.refused("a value set must be the whole keyset on this target", keyset.span)
            case ast.Binary(operator=ast.BinaryOperator.MASK, left=left, right=right):
                return [Pattern(number(left), number(right))]
            case ast.Binary(operator=ast.BinaryOperator.RANGE, left=left, right=right):
                low, high = number(left), number(right)
                if isinstance(key.type, Bits) and key.type.signed:
                    return signed_range_patterns(low, high, width)
                return range_patterns(low, high, width)
        return [Pattern(number(keyset))]

    # -- value sets

    def _value_set(self, instance: ParserInstance | None, declaration: ast.ValueSet) -> ob.ValueSet:
        prefix = instance.name if instance is not None else ""
        name = child_name(prefix, external_name(declaration))
        known = self.session.value_sets.get((name, declaration))
        if known is None:
            type_ = self.resolved(declaration)
            element = type_.element if isinstance(type_, model.SetType) else type_
            size = self._constant(self.value(declaration.size), declaration.size.span)
            annotations = lower_annotations(declaration.annotations)
            hidden = has_annotation(declaration, "hidden")
            fields = self._value_set_fields(element)
            known = ob.ValueSet(
                declaration.span,
                name,
                annotations,
                hidden,
                size,
                self.types.width(element),
                fields,
                self.types.data_type(element),
            )
            self.session.value_sets[name, declaration] = known
        return known

    def _value_set_fields(self, element: model.Type) -> tuple[ob.ValueSetField, ...]:
        exact = ob.MatchKind.EXACT
        match element:
            case model.StructType():
                return tuple(self._value_set_field(field) for field in self.types.fields(element))
            case model.TupleType(elements=parts):
                return tuple(ob.ValueSetField("", self.types.width(part), exact, ()) for part in parts)
            case model.EnumType(declaration=declaration):
                width = self.types.width(element)
                return tuple(ob.ValueSetField(m.name.text, width, exact, ()) for m in declaration.members)
        return (ob.ValueSetField("", self.types.width(element), exact, ()),)

    def _value_set_field(self, field: model.FieldType) -> ob.ValueSetField:
        kind = ob.MatchKind.EXACT
        declaration = field.declaration
        assert declaration is not None
        annotation = get_annotation(declaration, "match")
        if annotation is not None:
            words = [token.text for token in annotation.tokens or ()]
            kind = ob.MatchKind(words[0]) if words and words[0] in {m.value for m in ob.MatchKind} else kind
        annotations = tuple(a for a in lower_annotations(declaration.annotations) if a.name != "match")
        return ob.ValueSetField(
            external_name(declaration).removeprefix("."), self.types.width(field.type), kind, annotations
        )


def range_patterns(low: int, high: int, width: int) -> list[Pattern]:
    """The fewest prefixes that cover `low..high`, both included."""
    result: list[Pattern] = []
    ones = (1 << width) - 1
    while low <= high:
        size = low & -low if low else 1 << width
        while size > high - low + 1:
            size >>= 1
        result.append(Pattern(low, ones & ~(size - 1)))
        low += size
    return result


def signed_range_patterns(low: int, high: int, width: int) -> list[Pattern]:
    """The same for bounds that are the bits of signed numbers: those below zero come behind the others."""
    sign = 1 << width - 1
    if low & sign and not high & sign:
        return range_patterns(low, (1 << width) - 1, width) + range_patterns(0, high, width)
    if high & sign and not low & sign:
        return []
    return range_patterns(low, high, width)
