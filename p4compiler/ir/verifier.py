"""Checks that a program in IR is well-formed. A complaint here is a fault of the compiler.

What it asks for: operand types agree; only storage, tables, actions and states that the program has are referred to; `leave` goes to
an enclosing region or loop; statements stand where they may; a parser starts and its transitions fit its keys.
"""

from __future__ import annotations

from p4compiler.ir import expressions as ex
from p4compiler.ir import objects as ob
from p4compiler.ir import statements as st
from p4compiler.ir.program import Parser, Program, SelectCase
from p4compiler.ir.storage import Header, HeaderStack, HeaderUnion, Variable
from p4compiler.ir.types import BOOLEAN, Bits, Text, Type, width_of
from p4compiler.ir.walk import blocks_of, expressions_of, operands_of
from p4compiler.source import Span


class VerificationError(Exception):
    """The IR is not well-formed. `span` is the place in the source it was made from."""

    def __init__(self, message: str, span: Span) -> None:
        super().__init__(f"{span}: {message}")
        self.span = span


def verify_program(program: Program) -> None:
    """Check everything.

    Raises:
        VerificationError: at the first thing that is wrong.
    """
    _Verifier(program).run()


_PARSER_ONLY = (st.Extract, st.Advance, st.Verify)
_TABLES = (st.ApplyTable, st.ApplyHit, st.ApplySwitch)


class _Verifier:
    def __init__(self, program: Program) -> None:
        self._program = program
        storage = program.storage
        self._variables: set[Variable] = set(storage.variables)
        self._headers: set[Header] = set(storage.headers)
        self._stacks: set[HeaderStack] = set(storage.stacks)
        for union in storage.unions:
            self._headers.update(union.members)
        for stack in storage.stacks:
            for element in stack.elements:
                self._headers.update(element.members if isinstance(element, HeaderUnion) else (element,))
        self._tables = set(program.objects.tables)
        self._actions = set(program.objects.actions)
        self._parameters: set[ex.Parameter] = set()

    def run(self) -> None:
        self._unique_names()
        self._parser(self._program.parser)
        for action in self._program.objects.actions:
            self._action(action)
        for table in self._program.objects.tables:
            self._table(table)
        for control in (self._program.ingress, self._program.egress):
            self._block(control.body, frozenset(), tables=True)
        for control in (self._program.verify_checksum, self._program.compute_checksum, self._program.deparser):
            self._block(control.body, frozenset(), tables=False)

    def _fail(self, message: str, span: Span) -> VerificationError:
        return VerificationError(message, span)

    def _unique_names(self) -> None:
        seen: set[str] = set()
        for variable in self._program.storage.variables:
            if variable.name in seen:
                raise self._fail(f"two variables are named {variable.name}", variable.span)
            seen.add(variable.name)

    # -- objects

    def _action(self, action: ob.Action) -> None:
        self._parameters = {parameter.value for parameter in action.parameters}
        self._block(action.body, frozenset(), tables=False)
        self._parameters = set()

    def _table(self, table: ob.Table) -> None:
        for key in table.keys:
            self._expression(key.expression)
        actions = {reference.action for reference in table.actions}
        if not actions <= self._actions:
            raise self._fail(f"table {table.name} has an action that the program has not", table.span)
        calls = [entry.call for entry in table.entries or ()]
        for call in calls if table.default is None else [*calls, table.default]:
            if call.action not in actions:
                raise self._fail(f"{call.action.name} is not in the list of table {table.name}", table.span)
            if len(call.arguments) != len(call.action.parameters):
                raise self._fail(f"wrong number of arguments for {call.action.name}", table.span)
        matched = sum(key.match_kind is not ob.MatchKind.SELECTOR for key in table.keys)
        for entry in table.entries or ():
            if len(entry.keys) != matched:
                raise self._fail(f"an entry of {table.name} does not fit its key", entry.span)

    def _parser(self, parser: Parser) -> None:
        names = {state.name for state in parser.states}
        if not parser.states or len(names) != len(parser.states):
            raise self._fail("a parser needs states, each with a name of its own", parser.span)
        for state in parser.states:
            for statement in state.body:
                if blocks_of(statement) or isinstance(statement, (*_TABLES, st.Leave, st.Exit)):
                    raise self._fail(f"{type(statement).__name__} in a parser state", statement.span)
                self._statement(statement)
            for key in state.transition.keys:
                self._expression(key)
            for case in state.transition.cases:
                if case.target is not None and case.target not in names:
                    raise self._fail(f"no state {case.target}", case.span)
                if isinstance(case, SelectCase) and len(case.patterns) != len(state.transition.keys):
                    raise self._fail(f"a case of state {state.name} does not fit its keys", case.span)

    # -- statements

    def _block(self, block: st.Block, labels: frozenset[st.Label], tables: bool) -> None:
        for statement in block:
            if isinstance(statement, _PARSER_ONLY):
                raise self._fail(f"{type(statement).__name__} outside of a parser", statement.span)
            if isinstance(statement, _TABLES):
                if not tables:
                    raise self._fail("a table is applied where none can be", statement.span)
                if statement.table not in self._tables:
                    raise self._fail(f"no table {statement.table.name}", statement.span)
            if isinstance(statement, st.Leave) and statement.label not in labels:
                raise self._fail(f"leave {statement.label.name} outside of it", statement.span)
            self._statement(statement)
            inner = labels | {statement.label} if isinstance(statement, st.Region | st.Loop) else labels
            for body in blocks_of(statement):
                self._block(body, inner, tables)

    def _statement(self, statement: st.Statement) -> None:
        for expression in expressions_of(statement):
            self._expression(expression)
        match statement:
            case st.Assign(target=target, value=value):
                self._same(target.type, value.type, statement.span)
            case st.If(condition=condition) | st.Assert(condition=condition) | st.Verify(condition=condition):
                self._same(condition.type, BOOLEAN, statement.span)
            case st.CopyHeader(target=to_header, source=from_header):
                if to_header.layout is not from_header.layout:
                    raise self._fail("headers of different types", statement.span)
            case st.ApplySwitch(table=table, cases=cases):
                known = {reference.action for reference in table.actions}
                if any(action not in known for case in cases for action in case.actions):
                    raise self._fail(f"a case names no action of table {table.name}", statement.span)

    # -- expressions

    def _expression(self, expression: ex.Expression) -> None:
        for operand in operands_of(expression):
            self._expression(operand)
        span = expression.span
        match expression:
            case ex.Constant(value=value, bits=bits):
                low, high = (-(1 << bits.width - 1), 1 << bits.width - 1) if bits.signed else (0, 1 << bits.width)
                if not low <= value < high:
                    raise self._fail(f"{value} is no {bits}", span)
            case ex.VariableValue(variable=variable):
                if variable not in self._variables:
                    raise self._fail(f"no variable {variable.name}", span)
            case ex.FieldValue(header=header) | ex.Valid(header=header):
                self._header(header)
            case ex.ParameterValue(parameter=parameter):
                if parameter not in self._parameters:
                    raise self._fail(f"parameter {parameter.name} of another action", span)
            case ex.Binary():
                self._binary(expression)
            case ex.Conditional(condition=condition, then=then, otherwise=otherwise):
                self._same(condition.type, BOOLEAN, span)
                self._same(then.type, otherwise.type, span)
            case ex.Slice(operand=operand, high=high, low=low):
                if not 0 <= low <= high < width_of(operand.type):
                    raise self._fail(f"slice [{high}:{low}] of {operand.type}", span)
            case ex.Cast(target=target, operand=operand):
                if isinstance(target, Text) or isinstance(operand.type, Text):
                    raise self._fail("cast of a string", span)

    def _header(self, header: ex.HeaderReference) -> None:
        match header:
            case ex.OneHeader(header=instance):
                if instance not in self._headers:
                    raise self._fail(f"no header {instance.name}", header.span)
            case ex.StackElement(stack=stack) | ex.NextElement(stack=stack) | ex.LastElement(stack=stack):
                if stack not in self._stacks:
                    raise self._fail(f"no stack {stack.name}", header.span)

    def _binary(self, expression: ex.Binary) -> None:
        left, right, operator = expression.left.type, expression.right.type, expression.operator
        if operator in ex.LOGICAL:
            self._same(left, BOOLEAN, expression.span)
            self._same(right, BOOLEAN, expression.span)
        elif operator in (ex.BinaryOperator.SHL, ex.BinaryOperator.SHR):
            if not isinstance(left, Bits) or not isinstance(right, Bits):
                raise self._fail("a shift of what is no number", expression.span)
        else:
            self._same(left, right, expression.span)

    def _same(self, left: Type, right: Type, span: Span) -> None:
        if left != right:
            raise self._fail(f"{left} meets {right}", span)
