"""Where lowered statements go: into structured blocks for controls and actions, into states for a parser.

Both take the same calls, so that whatever is inlined need not know where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from p4compiler.ir import expressions as ex
from p4compiler.ir import statements as st
from p4compiler.ir.program import ParserState, Pattern, SelectCase, Transition
from p4compiler.ir.types import BOOLEAN
from p4compiler.lowering.storage import StorageBuilder
from p4compiler.source import Span

Body = Callable[[], None]


class Emitter(Protocol):
    def emit(self, statement: st.Statement) -> None: ...

    def branch(self, condition: ex.Expression, then: Body, otherwise: Body, span: Span) -> None:
        """An if; the bodies emit what they hold."""

    def region(self, name: str, body: Callable[[st.Label], None], span: Span) -> None:
        """A body that can be left."""

    def loop(self, name: str, body: Callable[[st.Label], None], span: Span) -> None:
        """A body that is repeated until it is left."""

    def leave(self, label: st.Label, span: Span) -> None: ...


class BlockEmitter:
    """Structured statements."""

    def __init__(self, storage: StorageBuilder) -> None:
        self._storage = storage
        self._block: list[st.Statement] = []

    def finish(self) -> st.Block:
        return tuple(self._block)

    def emit(self, statement: st.Statement) -> None:
        self._storage.count_statements(1, statement.span)
        self._block.append(statement)

    def nested(self, body: Body) -> st.Block:
        """What the body emits, as a block of its own."""
        outer, self._block = self._block, []
        try:
            body()
            return tuple(self._block)
        finally:
            self._block = outer

    def branch(self, condition: ex.Expression, then: Body, otherwise: Body, span: Span) -> None:
        if isinstance(condition, ex.BooleanConstant):
            (then if condition.value else otherwise)()
            return
        self.emit(st.If(span, condition, self.nested(then), self.nested(otherwise)))

    def region(self, name: str, body: Callable[[st.Label], None], span: Span) -> None:
        label = st.Label(name)
        self.emit(st.Region(span, label, self.nested(lambda: body(label))))

    def loop(self, name: str, body: Callable[[st.Label], None], span: Span) -> None:
        label = st.Label(name)
        self.emit(st.Loop(span, label, self.nested(lambda: body(label))))

    def leave(self, label: st.Label, span: Span) -> None:
        self.emit(st.Leave(span, label))


class StateEmitter:
    """Parser states: a branch ends the state and begins others."""

    def __init__(self, storage: StorageBuilder) -> None:
        self._storage = storage
        self._names: dict[str, int] = {}
        self._targets: dict[st.Label, str | None] = {}
        self._name = ""
        self._span: Span | None = None
        self._body: list[st.Statement] = []
        self.states: list[ParserState] = []

    @property
    def current(self) -> str:
        """The name of the state that was begun."""
        return self._name

    def new_name(self, hint: str) -> str:
        """A state's name: the hint, numbered if it is taken."""
        count = self._names.get(hint)
        self._names[hint] = 0 if count is None else count + 1
        if count is None:
            return hint
        return self.new_name(f"{hint}_{count}")

    def begin(self, name: str, span: Span) -> None:
        """Start the state with that name (from `new_name`)."""
        self._name, self._span, self._body = name, span, []

    def end(self, transition: Transition) -> None:
        """Finish the state that was begun."""
        assert self._span is not None
        self.states.append(ParserState(self._span, self._name, tuple(self._body), transition))
        self._body = []

    def goto(self, target: str | None, span: Span) -> None:
        self.end(Transition(span, (), (SelectCase(span, (), target),)))

    def emit(self, statement: st.Statement) -> None:
        self._storage.count_statements(1, statement.span)
        self._body.append(statement)

    def branch(self, condition: ex.Expression, then: Body, otherwise: Body, span: Span) -> None:
        if isinstance(condition, ex.BooleanConstant):
            (then if condition.value else otherwise)()
            return
        base = self._name
        key = self._storage.variable(f"parser.{base}.condition", BOOLEAN, span)
        self.emit(st.Assign(span, key, condition))
        then_name, else_name = self.new_name(f"{base}_true"), self.new_name(f"{base}_false")
        join = self.new_name(f"{base}_join")
        cases = (SelectCase(span, (Pattern(1),), then_name), SelectCase(span, (Pattern(0, 0),), else_name))
        self.end(Transition(span, (key,), cases))
        for name, body in ((then_name, then), (else_name, otherwise)):
            self.begin(name, span)
            body()
            self.goto(join, span)
        self.begin(join, span)

    def choose(self, key: ex.VariableValue, bodies: Sequence[Body], span: Span) -> None:
        """The body of the number that the key has, or none."""
        base = self._name
        join = self.new_name(f"{base}_join")
        names = [self.new_name(f"{base}_{number}") for number in range(len(bodies))]
        cases = [SelectCase(span, (Pattern(number),), name) for number, name in enumerate(names)]
        self.end(Transition(span, (key,), (*cases, SelectCase(span, (Pattern(0, 0),), join))))
        for name, body in zip(names, bodies, strict=True):
            self.begin(name, span)
            body()
            self.goto(join, span)
        self.begin(join, span)

    def region(self, name: str, body: Callable[[st.Label], None], span: Span) -> None:
        label = st.Label(name)
        after = self.new_name(f"{self._name}_after")
        self._targets[label] = after
        body(label)
        self.goto(after, span)
        self.begin(after, span)

    def loop(self, name: str, body: Callable[[st.Label], None], span: Span) -> None:
        label = st.Label(name)
        head, after = self.new_name(f"{self._name}_loop"), self.new_name(f"{self._name}_after")
        self._targets[label] = after
        self.goto(head, span)
        self.begin(head, span)
        body(label)
        self.goto(head, span)
        self.begin(after, span)

    def leave(self, label: st.Label, span: Span) -> None:
        self.goto(self._targets[label], span)
        # What follows cannot be reached; the state that takes it is dropped later.
        self.begin(self.new_name(f"{self._name}_dead"), span)
