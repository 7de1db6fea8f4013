"""Statements: syntax tree to emitted IR."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from p4compiler.diagnostics import Kind
from p4compiler.ir import expressions as ex
from p4compiler.ir import fold
from p4compiler.ir import statements as st
from p4compiler.ir.objects import Action
from p4compiler.lowering import values as v
from p4compiler.lowering.emitter import BlockEmitter, Body
from p4compiler.lowering.errors import Abandoned
from p4compiler.lowering.externs import ExternLowering
from p4compiler.lowering.instances import TableInstance
from p4compiler.source import Span
from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.checked import CallKind

MAX_NESTED_CASES = 200
"""A switch on a value with more of them becomes a row of tests instead of tests in tests."""


class StatementLowering(ExternLowering):
    # -- for subclasses

    def table_of(self, receiver: v.Value, span: Span) -> TableInstance:
        raise NotImplementedError

    def prepare_table(self, instance: TableInstance) -> None:
        """Lower the table if this is its first use, and copy the keys that must be."""
        raise NotImplementedError

    def action_of(self, instance: TableInstance, label: ast.Expression) -> Action | None:
        raise NotImplementedError

    def declare_instance(self, declaration: ast.Instantiation) -> None:
        raise NotImplementedError

    def apply_directly(self, statement: ast.DirectApplication) -> None:
        raise NotImplementedError

    # -- blocks

    def block(self, block: ast.Block) -> None:
        self.statements(block.body)

    def statements(self, statements: Sequence[ast.Statement | ast.Declaration]) -> None:
        for statement in statements:
            if self.session.storage.is_exhausted:
                break
            try:
                self.statement(statement)
            except Abandoned:
                continue  # it has been reported; the next one may have something to tell too

    def statement(self, statement: ast.Statement | ast.Declaration) -> None:
        match statement:
            case ast.Block():
                self.block(statement)
            case ast.Assignment():
                self._assignment(statement)
            case ast.CallStatement(call=call):
                value = self.value(call)
                if self.checked.call_of[call].method == "lookahead":
                    # Nobody wants the bits, but the packet must have them.
                    self.frozen(value, statement.span)
            case ast.DirectApplication():
                self.apply_directly(statement)
            case ast.If():
                self._if(statement)
            case ast.Switch():
                self._switch(statement)
            case ast.For():
                self._for(statement)
            case ast.ForIn():
                self._for_in(statement)
            case ast.Return(value=value):
                self._return(value, statement.span.first(len("return")))
            case ast.Exit():
                self.exit(statement.span.first(len("exit")))
            case ast.Break():
                self.emitter.leave(self.loops[-1][0], statement.span.first(len("break")))
            case ast.Continue():
                label = self.loops[-1][1]
                assert label is not None
                self.emitter.leave(label, statement.span.first(len("continue")))
            case ast.EmptyStatement():
                pass
            case ast.Declaration():
                self.declaration(statement)
            case _:
                raise self.session.refused("this statement is not supported", statement.span, Kind.UNSUPPORTED)

    def declaration(self, declaration: ast.Declaration) -> None:
        """A variable, constant or instance declared among statements."""
        match declaration:
            case ast.Variable():
                self.declare_variable(declaration)
                self.initialize_variable(declaration)
            case ast.Constant(value=value):
                self.scope.bind(declaration, self.value_as(value, self.resolved(declaration)))
            case ast.Instantiation():
                self.declare_instance(declaration)
            case _:
                raise self.session.refused("this declaration is not supported here", declaration.span, Kind.UNSUPPORTED)

    def declare_variable(self, declaration: ast.Variable) -> None:
        name = f"{self.scope.name}.{declaration.name.text}"
        self.scope.bind(declaration, self.storage.make(self.resolved(declaration), name, declaration.span))

    def initialize_variable(self, declaration: ast.Variable) -> None:
        """What happens each time control passes the declaration."""
        place = self.scope.lookup(declaration)
        assert place is not None
        if declaration.initializer is None:
            self.invalidate(place, declaration.name.span)
        else:
            value = self.value_as(declaration.initializer, self.resolved(declaration))
            self.assign(place, value, declaration.name.span.to(declaration.initializer.span))

    # -- assignment, return

    def _assignment(self, statement: ast.Assignment) -> None:
        span = statement.span
        if isinstance(statement.target, ast.DontCare):
            self.value(statement.value)
            return
        target = self.place(statement.target, freeze=self.has_effects(statement.value))
        if statement.operator is None:
            self.assign(target, self.value(statement.value), span)
            return
        before: v.Value = self.read(target, span)
        if self.has_effects(statement.value):
            before = self.frozen(before, span)
        left = self.as_scalar(before, span)
        right = self.as_scalar(self.value(statement.value), span)
        self.assign(target, v.Scalar(self.operate(statement.operator, left, right, span)), span)

    def _return(self, value: ast.Expression | None, span: Span) -> None:
        if not self.frames or self.frames[-1].label is None:
            # The end of a body without a region: nothing comes after it.
            if value is not None:
                self.value(value)
            return
        self.return_from(None if value is None else self.value(value), span)

    # -- if

    def _if(self, statement: ast.If) -> None:
        def then() -> None:
            self.statement(statement.then)

        def otherwise() -> None:
            if statement.otherwise is not None:
                self.statement(statement.otherwise)

        hit = self._hit_test(statement.condition)
        if hit is None:
            self.emitter.branch(self.scalar(statement.condition), then, otherwise, statement.span.first(len("if")))
            return
        call, on_hit = hit
        self._apply_hit(call, then if on_hit else otherwise, otherwise if on_hit else then, statement.span)

    def _hit_test(self, condition: ast.Expression) -> tuple[ast.Call, bool] | None:
        """The application of a table in `t.apply().hit`, `.miss` and their negations; True if it asks for a hit."""
        match condition:
            case ast.Unary(operator=ast.UnaryOperator.NOT, operand=operand):
                inner = self._hit_test(operand)
                return None if inner is None else (inner[0], not inner[1])
            case ast.Member(base=ast.Call() as call, member=member):
                if self.checked.call_of[call].kind is CallKind.TABLE_APPLY and member.text in ("hit", "miss"):
                    return call, member.text == "hit"
        return None

    def _apply_hit(self, call: ast.Call, hit: Body, miss: Body, span: Span) -> None:
        instance = self._applied_table(call)
        table = instance.table
        assert table is not None and isinstance(self.emitter, BlockEmitter)
        self.emitter.emit(st.ApplyHit(span, table, self.emitter.nested(hit), self.emitter.nested(miss)))

    def _applied_table(self, call: ast.Call) -> TableInstance:
        assert isinstance(call.callee, ast.Member)
        instance = self.table_of(self.value(call.callee.base), call.span)
        self.prepare_table(instance)
        if not isinstance(self.emitter, BlockEmitter):
            raise self.session.refused("a table cannot be applied in a parser", call.span)
        return instance

    def apply_table(self, receiver: v.Value, span: Span) -> None:
        instance = self.table_of(receiver, span)
        self.prepare_table(instance)
        assert instance.table is not None
        self.emitter.emit(st.ApplyTable(span, instance.table))

    def apply_for_result(self, call: ast.Call, member: str, span: Span) -> v.Value:
        """`t.apply().hit` or `.miss` as a value."""
        if member not in ("hit", "miss"):
            raise self.session.refused("action_run can only be switched on", span, Kind.UNSUPPORTED)
        result = self.temporary(model.BOOL, span, "hit")

        def set_to(value: bool) -> Body:
            return lambda: self.assign(result, v.Scalar(ex.BooleanConstant(span, value)), span)

        self._apply_hit(call, set_to(member == "hit"), set_to(member == "miss"), span)
        return result

    # -- switch

    def _switch(self, statement: ast.Switch) -> None:
        selector = statement.selector
        match selector:
            case ast.Member(base=ast.Call() as call) if self.checked.call_of[call].kind is CallKind.TABLE_APPLY:
                self._switch_action(statement, call)
            case _:
                self._switch_value(statement)

    def _groups(self, statement: ast.Switch) -> list[tuple[list[ast.Expression], ast.Block | None]]:
        """The labels that lead to each body; labels without one fall through to the next."""
        groups: list[tuple[list[ast.Expression], ast.Block | None]] = []
        waiting: list[ast.Expression] = []
        for case in statement.cases:
            waiting.append(case.label)
            if case.body is not None:
                groups.append((waiting, case.body))
                waiting = []
        if waiting:
            groups.append((waiting, None))
        return groups

    def _switch_action(self, statement: ast.Switch, call: ast.Call) -> None:
        instance = self._applied_table(call)
        emitter = self.emitter
        assert instance.table is not None and isinstance(emitter, BlockEmitter)
        cases: list[st.ActionCase] = []
        default: st.Block = ()
        for labels, body in self._groups(statement):
            block = emitter.nested(lambda body=body: self.block(body)) if body is not None else ()  # type: ignore[misc]
            if any(isinstance(label, ast.DefaultLiteral) for label in labels):
                default = block
            actions = [self.action_of(instance, label) for label in labels if not isinstance(label, ast.DefaultLiteral)]
            known = tuple(action for action in actions if action is not None)
            if known:
                cases.append(st.ActionCase(known, block))
        emitter.emit(st.ApplySwitch(statement.span, instance.table, tuple(cases), default))

    def _switch_value(self, statement: ast.Switch) -> None:
        type_ = self.type_of(statement.selector)
        selector = self.frozen(self.value(statement.selector), statement.selector.span)
        groups = self._groups(statement)
        default = next((body for labels, body in groups if _has_default(labels)), None)
        # Beside the default, its other labels lead where it does anyway.
        groups = [(labels, body) for labels, body in groups if not _has_default(labels)]

        def test(labels: Sequence[ast.Expression]) -> ex.Expression:
            span = labels[0].span
            return fold.disjunction([self.equal(selector, self.value_as(label, type_), span) for label in labels], span)

        def run(body: ast.Block | None) -> None:
            if body is not None:
                self.block(body)

        def chain(index: int) -> None:
            if index == len(groups):
                run(default)
                return
            labels, body = groups[index]
            self.emitter.branch(test(labels), lambda: run(body), lambda: chain(index + 1), labels[0].span)

        def row(leave_label: st.Label) -> None:
            for labels, body in groups:
                span = labels[0].span

                def then(body: ast.Block | None = body, span: Span = span) -> None:
                    run(body)
                    self.emitter.leave(leave_label, span)

                self.emitter.branch(test(labels), then, lambda: None, span)
            run(default)

        if len(groups) <= MAX_NESTED_CASES:
            chain(0)
        else:
            self.emitter.region("switch", row, statement.span)

    # -- loops

    def _for(self, statement: ast.For) -> None:
        for part in statement.init:
            self.statement(part)

        def update() -> None:
            self.statements(statement.update)

        def loop(label: st.Label) -> None:
            condition = self.scalar(statement.condition)
            negated = fold.unary(ex.UnaryOperator.NOT, condition, statement.condition.span)
            self.emitter.branch(
                negated, lambda: self.emitter.leave(label, statement.span), lambda: None, statement.span
            )
            self._loop_body(label, lambda: self.statement(statement.body), statement.span)
            update()

        self.emitter.loop("for", loop, statement.span)

    def _loop_body(self, label: st.Label, body: Body, span: Span) -> None:
        def inside(continue_label: st.Label) -> None:
            self.loops.append((label, continue_label))
            try:
                body()
            finally:
                self.loops.pop()

        self.emitter.region("continue", inside, span)

    def _for_in(self, statement: ast.ForIn) -> None:
        span = statement.span
        variable = self._loop_variable(statement)
        collection = statement.collection
        if isinstance(collection, ast.Binary) and collection.operator is ast.BinaryOperator.RANGE:
            self._for_range(statement, variable, collection)
            return
        elements = self._elements(self.value(collection), span)

        def all_elements(label: st.Label) -> None:
            for element in elements:
                self.assign(variable, element, span)
                self._loop_body(label, lambda: self.statement(statement.body), span)

        self.emitter.region("for", all_elements, span)

    def _loop_variable(self, statement: ast.ForIn) -> v.Value:
        declaration = self.checked.loop_variable_of[statement]
        known = self.scope.lookup(declaration)
        if known is not None and statement.type is None:
            return known
        place = self.storage.make(
            self.resolved(declaration), f"{self.scope.name}.{statement.name.text}", statement.span
        )
        self.scope.bind(declaration, place)
        return place

    def _elements(self, value: v.Value, span: Span) -> list[v.Value]:
        match value:
            case v.Structure(fields=fields):
                return list(fields.values())
            case v.StackPlace(stack=stack):
                return [self.element(value, index, span) for index in range(len(stack.elements))]
            case v.StackLiteral(elements=elements):
                return elements
        raise self.session.refused("this cannot be gone through", span, Kind.UNSUPPORTED)

    def _for_range(self, statement: ast.ForIn, variable: v.Value, collection: ast.Binary) -> None:
        """`lo .. hi` includes both ends; the last value needs a test of its own, for the counter may wrap after it."""
        span = statement.span
        bounds = [self.as_scalar(bound, span) for bound in self.values([collection.left, collection.right])]
        type_ = v.scalar_target(variable).type
        low, high = (fold.cast(bound, type_, span) for bound in bounds)
        counter = self.scalar_temporary(type_, span, "counter")
        last = self.as_scalar(self.frozen(v.Scalar(high), span), span)
        self.emitter.emit(st.Assign(span, counter, low))
        one = fold.constant(1, type_, span)

        def leave(label: st.Label) -> Callable[[], None]:
            return lambda: self.emitter.leave(label, span)

        def loop(label: st.Label) -> None:
            beyond = fold.binary(ex.BinaryOperator.GT, counter, last, span)
            self.emitter.branch(beyond, leave(label), lambda: None, span)
            self.assign(variable, v.Scalar(counter), span)
            self._loop_body(label, lambda: self.statement(statement.body), span)
            done = fold.binary(ex.BinaryOperator.EQ, counter, last, span)
            self.emitter.branch(done, leave(label), lambda: None, span)
            self.emitter.emit(st.Assign(span, counter, fold.binary(ex.BinaryOperator.ADD, counter, one, span)))

        self.emitter.loop("for", loop, span)


def _has_default(labels: Sequence[ast.Expression]) -> bool:
    return any(isinstance(label, ast.DefaultLiteral) for label in labels)
