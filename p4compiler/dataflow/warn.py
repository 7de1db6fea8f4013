"""The entry point: warnings about values and headers that are used before they are there.

With p4c's kinds and their meaning: `uninitialized-use`, `uninitialized-out-param`, `invalid-header`, `multi-header-extract`. Every parser and control that
the package `main` is made of is followed from its start, with what it applies and calls. Inside of it
a state (`state.FlowState`) says for each part of each variable whether some path leaves it unset, and for each header whether it can be
valid, invalid or both. `in` and `inout` parameters are taken to be set and their headers to be valid.

Each body is followed once for each different state in which it is called, and the work is bounded in proportion to the size of
the program: what would take longer is left, without a word.
"""

from __future__ import annotations

from collections.abc import Iterable

from p4compiler.dataflow.calls import BlockDeclaration
from p4compiler.dataflow.expressions import Passed
from p4compiler.dataflow.reports import KINDS, Reports
from p4compiler.dataflow.shapes import Shapes
from p4compiler.dataflow.statements import Statements
from p4compiler.diagnostics import Diagnostics
from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.checked import CheckedProgram

STEPS_FOR_ANY = 20_000
STEPS_PER_EXPRESSION = 4
"""Statements and calls that are followed, at most, for each expression that the program has."""


class TooLongError(Exception):
    """Following all paths takes more steps than the program's size can justify."""


def warn_of_data_flow(checked: CheckedProgram, diagnostics: Diagnostics) -> None:
    """Report what may be used before it is set or valid. The program must have no errors."""
    if checked.main is None or not any(map(diagnostics.severity_of, KINDS)):
        return
    program = _Program(checked, diagnostics)
    try:
        for block in _blocks_of(checked, checked.main):
            program.summary(block, (None,) * len(block.parameters))
    except TooLongError:
        pass


def _blocks_of(checked: CheckedProgram, main: ast.Instantiation) -> Iterable[ast.Parser | ast.Control]:
    """The parsers and controls that the package gets, also through packages that it gets."""
    found: dict[ast.Parser | ast.Control, None] = {}
    waiting: list[ast.Node] = [main]
    while waiting:
        node = waiting.pop()
        call = checked.call_of.get(node)
        if call is None:
            declaration = checked.declaration_of.get(node)
            if isinstance(declaration, ast.Instantiation):
                waiting.append(declaration)
        elif isinstance(call.target, ast.Parser | ast.Control):
            found[call.target] = None
        else:
            waiting.extend(argument for argument in reversed(call.arguments) if argument is not None)
    return found


class _Program:
    """Follows blocks and keeps what came out (see `calls.Summaries`)."""

    def __init__(self, checked: CheckedProgram, diagnostics: Diagnostics) -> None:
        self.checked = checked
        self.shapes = Shapes(self._fields)
        self.reports = Reports(diagnostics)
        self._steps = STEPS_FOR_ANY + STEPS_PER_EXPRESSION * len(checked.type_of)
        self._summaries: dict[tuple[object, ...], tuple[tuple[Passed | None, ...], bool]] = {}

    def _fields(self, type_: model.StructLikeType) -> tuple[model.FieldType, ...]:
        known = self.checked.fields_of.get(type_)
        if known is not None:
            return known
        declaration = type_.declaration
        assert isinstance(declaration, ast.StructDeclaration | ast.HeaderDeclaration | ast.HeaderUnionDeclaration)
        bindings = dict(zip(declaration.type_parameters, type_.arguments, strict=False))
        types = self.checked.resolved_type_of
        return tuple(model.FieldType(f.name.text, model.substitute(types[f], bindings)) for f in declaration.fields)

    def step(self) -> None:
        self._steps -= 1
        if self._steps < 0:
            raise TooLongError

    def summary(
        self, block: BlockDeclaration, entry: tuple[Passed | None, ...]
    ) -> tuple[tuple[Passed | None, ...], bool]:
        key = (block, entry, self.reports.quiet > 0)
        known = self._summaries.get(key)
        if known is None:
            known = self._summaries[key] = self._follow(block, entry)
        return known

    def _follow(
        self, block: BlockDeclaration, entry: tuple[Passed | None, ...]
    ) -> tuple[tuple[Passed | None, ...], bool]:
        flow = Statements(self)
        parameters = block.prototype.parameters if isinstance(block, ast.Function) else block.parameters
        for parameter, passed in zip(parameters, entry, strict=True):
            place = flow.begin(parameter, parameter.direction is not ast.Direction.OUT)
            if place is not None and passed is not None:
                flow.set_headers(place, passed[:2])
                flow.state.excused |= place.mask(passed[2])
            elif parameter.direction is not ast.Direction.OUT:
                flow.assumed.add(parameter)
        if not isinstance(block, ast.Function):
            for parameter in block.constructor_parameters:
                flow.begin(parameter, is_set=True)
            flow.items(block.locals)
            self._follow_methods(block.locals)
        if isinstance(block, ast.Parser):
            flow.states(block)
        else:
            flow.block(block.body)
            flow.state.join(flow.returns)
        ended = flow.state.copy()
        ended.join(flow.exits)
        flow.check_outputs(parameters, block, flow.state if isinstance(block, ast.Function) else ended)
        ends = not flow.state.dead
        flow.state = ended if flow.state.dead else flow.state
        places = [flow.place_of(parameter) for parameter in parameters]
        return (tuple(None if place is None else flow.passed_at(place) for place in places), ends)

    def _follow_methods(self, declarations: Iterable[ast.Declaration]) -> None:
        """The methods that instances of externs get from the program are called by nobody that can be seen."""
        for declaration in declarations:
            if isinstance(declaration, ast.Instantiation):
                for item in declaration.body or ():
                    if isinstance(item, ast.Function):
                        self.summary(item, (None,) * len(item.prototype.parameters))
