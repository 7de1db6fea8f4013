"""Following calls: actions and tables where they are called, functions, parsers and controls by a summary of what they do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from p4compiler.dataflow.expressions import Expressions, Passed, Validity
from p4compiler.dataflow.reports import Reports
from p4compiler.dataflow.shapes import Shape, Shapes
from p4compiler.dataflow.state import FlowState
from p4compiler.syntax import ast
from p4compiler.types.checked import CallKind, CheckedProgram, ResolvedCall

BlockDeclaration = ast.Parser | ast.Control | ast.Function
Bound = tuple[ast.Parameter, ast.Expression | None]
"""A parameter and its argument; None for `_`, for a default, and for what the control plane gives."""


class Summaries(Protocol):
    """What following the whole program offers to the following of one block."""

    checked: CheckedProgram
    shapes: Shapes
    reports: Reports

    def step(self) -> None:
        """Count a piece of work.

        Raises:
            TooLongError: it was more than the program's size can justify.
        """

    def summary(
        self, block: BlockDeclaration, entry: tuple[Passed | None, ...]
    ) -> tuple[tuple[Passed | None, ...], bool]:
        """What each parameter's headers are when the block ends, and whether it ends at all but by `exit`."""


class Calls(Expressions):
    """Follows calls.

    Attributes:
        returns, exits: the joined states of all `return`s of the body at hand, of all `exit`s of the block.
        after_action: the state after each action of the table that was applied last.
        assumed: the parameters whose headers are only taken to be valid.
    """

    def __init__(self, program: Summaries) -> None:
        super().__init__(program.checked, program.shapes, program.reports)
        self.program = program
        self.returns = FlowState(dead=True)
        self.exits = FlowState(dead=True)
        self.after_action: dict[ast.Declaration | None, FlowState] = {}
        self.assumed: set[ast.Declaration | None] = set()
        self._known: dict[tuple[object, ...], tuple[FlowState, FlowState]] = {}
        self._scope_of: dict[ast.Action, int] = {}

    def block(self, block: ast.Block) -> None:
        """Follow the statements of a block."""
        raise NotImplementedError

    def call(self, call: ast.Call) -> None:
        resolved = self.checked.call_of.get(call)
        if resolved is not None and not self.state.dead:
            if resolved.method == "extract" and resolved.kind is CallKind.EXTERN_METHOD and call.arguments:
                self._warn_of_extraction(call)
            self.resolved_call(resolved, call.callee)

    def _warn_of_extraction(self, call: ast.Call) -> None:
        header = call.arguments[0].value
        if isinstance(header, ast.PathExpression | ast.Member) and self._root(header) not in self.assumed:
            self.reports.quiet += 1
            place = self.find_target(header)
            self.reports.quiet -= 1
            if place is not None and len(place.bases) == 1 and place.shape.is_header:
                valid, invalid = self.validity_at(place)
                if valid & 1:
                    self.reports.extracted_again(call, surely=not invalid & 1)

    def resolved_call(self, call: ResolvedCall, callee: ast.Expression | None) -> None:
        """Follow a call. `callee` is None for an application of a type."""
        if call.kind is CallKind.BUILTIN_METHOD:
            assert isinstance(callee, ast.Member)
            self._built_in(callee.base, call)
        elif call.kind is CallKind.TABLE_APPLY:
            assert isinstance(call.target, ast.Table)
            self._apply_table(call.target)
        elif call.kind is not CallKind.CONSTRUCTOR:
            bound = list(zip(call.parameters, call.arguments, strict=True))
            self._read_arguments(bound)
            if isinstance(call.target, ast.Action):
                self._call_action(call.target, bound)
            elif isinstance(call.target, ast.Parser | ast.Control | ast.Function):
                self._call_block(call.target, bound)
            else:
                for parameter, argument in bound:
                    if argument is not None and parameter.direction in _OUTPUTS:
                        self.write(argument, None)

    def _read_arguments(self, bound: Iterable[Bound]) -> None:
        for parameter, argument in bound:
            if argument is not None and parameter.direction is not ast.Direction.OUT:
                self.read(argument)

    def _built_in(self, base: ast.Expression, call: ResolvedCall) -> None:
        if call.method == "isValid":
            self.excuse(base)
            return
        for argument in call.arguments:
            if argument is not None:
                self.read(argument)
        place = self.find_target(base)
        if place is None:
            return
        if call.method == "setValid":
            self.set_validity(base, place, (place.shape.headers, 0))
        elif call.method == "setInvalid":
            self.set_validity(base, place, (0, place.shape.headers))
        elif call.method in ("push_front", "pop_front"):
            self.write(base, None)

    # -- actions and tables

    def _call_action(self, action: ast.Action, bound: Sequence[Bound]) -> None:
        self.program.step()
        first = self._used_slots
        for parameter, argument in bound:
            is_output = parameter.direction is ast.Direction.OUT
            # What was read is taken from the caller's state before the parameter's own slots change.
            place = self.place_of(parameter)
            given: Validity | None = None
            if place is not None and place.shape.headers and argument is not None and not is_output:
                given = self.validity(argument, place.shape)
            self.begin(parameter, not is_output)
            if place is not None and given is not None:
                self.set_headers(place, given)
        key = (action, self.state.key(), self.reports.quiet > 0)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._follow_action(action)
        self.state = known[0].copy()
        self.exits.join(known[1])
        results: list[tuple[ast.Expression, Validity | None]] = []
        for parameter, argument in bound:
            if argument is not None and parameter.direction in _OUTPUTS:
                place = self.place_of(parameter)
                results.append((argument, None if place is None else self.validity_at(place)))
        scope = self._scope_of.setdefault(action, (1 << self._used_slots) - (1 << first))
        self.state.forget(scope)
        for argument, validity in results:
            self.write(argument, validity)

    def _follow_action(self, action: ast.Action) -> tuple[FlowState, FlowState]:
        """The states after the action's body and at its `exit`s."""
        outer_returns, outer_exits = self.returns, self.exits
        self.returns, self.exits = FlowState(dead=True), FlowState(dead=True)
        self.block(action.body)
        self.state.join(self.returns)
        self.check_outputs(action.parameters, action, self.state)
        result = (self.state, self.exits)
        self.returns, self.exits = outer_returns, outer_exits
        return result

    def check_outputs(self, parameters: Iterable[ast.Parameter], owner: ast.Declaration, state: FlowState) -> None:
        """The `out` parameters should be set in this state, at the end of `owner`. A header may be left invalid."""
        if state.dead:
            return
        for parameter in parameters:
            if parameter.direction is ast.Direction.OUT:
                place = self.place_of(parameter)
                if place is not None and state.unset & place.mask(place.shape.plain):
                    self.reports.unset_output(parameter, owner)

    def _apply_table(self, table: ast.Table) -> None:
        excused = self.state.excused
        for key in table.keys or ():
            self.read(key.expression)
        before = self.state
        after: dict[ast.Declaration | None, FlowState] = {}
        joined = FlowState(dead=True)
        for reference in table.actions:
            action = self.checked.declaration_of.get(reference.action)
            if not isinstance(action, ast.Action) or action in after:
                continue
            self.state = before.copy()
            bound = _bind(action.parameters, reference.arguments or ())
            self._read_arguments(bound)
            self._call_action(action, bound)
            # Which action runs is the control plane's choice, often told by metadata that later code asks for: that one of
            # them invalidates a header is no reason to warn about what follows.
            self.state.valid |= before.valid
            self.state.invalid &= before.invalid
            self.state.excused = excused
            after[action] = self.state.copy()
            joined.join(self.state)
        self.state = joined if after else before
        self.state.excused = excused
        self.after_action = after

    # -- functions, parsers, controls

    def _passed(self, argument: ast.Expression, shape: Shape) -> Passed:
        """What a call gets: who asked for a header's validity before may rely on it inside."""
        valid, invalid = self.validity(argument, shape)
        excused = 0
        if isinstance(argument, ast.PathExpression | ast.Member | ast.Index):
            place = self.find_target(argument)
            if place is not None and place.shape is shape:
                excused = self.passed_at(place)[2]
        return (valid, invalid, excused)

    def _call_block(self, block: BlockDeclaration, bound: Sequence[Bound]) -> None:
        self.program.step()
        entry: list[Passed | None] = []
        shapes = []
        for parameter, argument in bound:
            shape = self.shapes.of(self.checked.resolved_type_of[parameter])
            shapes.append(shape)
            if shape is None or not shape.headers or argument is None or parameter.direction is ast.Direction.OUT:
                entry.append(None)
            else:
                entry.append(self._passed(argument, shape))
        results, ends = self.program.summary(block, tuple(entry))
        for (parameter, argument), shape, passed in zip(bound, shapes, results, strict=True):
            if argument is None or parameter.direction not in _OUTPUTS:
                continue
            same = shape is self.shapes.of(self.checked.type_of[argument])  # not where it is generic
            self.write(argument, passed[:2] if same and passed is not None else None)
            if same and passed is not None:
                place = self.find_target(argument)
                if place is not None and len(place.bases) == 1:
                    self.state.excused |= place.mask(passed[2])
        if not ends:
            self.exits.join(self.state)
            self.state = FlowState(dead=True)


def _bind(parameters: Sequence[ast.Parameter], arguments: Sequence[ast.Argument]) -> list[Bound]:
    """What the program itself gives to the parameters of a table's action."""
    named = {argument.name.text: argument.value for argument in arguments if argument.name is not None}
    values = [argument.value for argument in arguments if argument.name is None]
    bound: list[Bound] = []
    for index, parameter in enumerate(parameters):
        value = values[index] if index < len(values) else named.get(parameter.name.text)
        bound.append((parameter, None if isinstance(value, ast.DontCare) else value))
    return bound


_OUTPUTS = (ast.Direction.OUT, ast.Direction.INOUT)
