"""Following statements, and the states of parsers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from p4compiler.dataflow.calls import Calls
from p4compiler.dataflow.state import FlowState
from p4compiler.syntax import ast

Item = ast.Statement | ast.Declaration


class Statements(Calls):
    breaks = FlowState(dead=True)
    continues = FlowState(dead=True)

    def block(self, block: ast.Block) -> None:
        self.items(block.body)

    def items(self, items: Sequence[Item]) -> None:
        """Follow statements and declarations one after the other, as far as they can be reached."""
        for item in items:
            if self.state.dead:
                return
            self.program.step()
            follower = _FOLLOWERS.get(item.__class__)
            if follower is not None:
                follower(self, item)

    def _variable(self, variable: ast.Variable) -> None:
        value = variable.initializer
        if value is not None:
            self.read(value)
        place = self.begin(variable, value is not None)
        if place is not None and place.shape.headers and value is not None:
            self.set_headers(place, self.validity(value, place.shape))

    def _assignment(self, statement: ast.Assignment) -> None:
        target, value = statement.target, statement.value
        if statement.operator is not None:
            self.read(target)
        self.read(value)
        shape = self.shapes.of(self.checked.type_of[target])
        if shape is not None and shape.headers:
            self.write(target, self.validity(value, shape))
        else:
            self.write(target, None)

    def _call(self, statement: ast.CallStatement) -> None:
        self.call(statement.call)

    def _direct_application(self, statement: ast.DirectApplication) -> None:
        call = self.checked.call_of.get(statement)
        if call is not None:
            self.resolved_call(call, None)

    # -- jumps

    def _jump(self, target: FlowState) -> None:
        target.join(self.state)
        self.state = FlowState(dead=True)

    def _return(self, statement: ast.Return) -> None:
        if statement.value is not None:
            self.read(statement.value)
        self._jump(self.returns)

    def _exit(self, statement: ast.Exit) -> None:
        self._jump(self.exits)

    def _break(self, statement: ast.Break) -> None:
        self._jump(self.breaks)

    def _continue(self, statement: ast.Continue) -> None:
        self._jump(self.continues)

    # -- branches

    def _if(self, statement: ast.If) -> None:
        excused = self.state.excused
        ends = FlowState(dead=True)
        current: ast.Statement | None = statement
        while isinstance(current, ast.If):  # a chain of `else if`s can be long
            condition = current.condition
            known = self.checked.constant_of.get(condition)
            if known is None:
                self.read(condition)
                otherwise = self.state.copy()
                self.assume(condition)
                self.items((current.then,))
                ends.join(self.state)
                self.state = otherwise
                self.assume_not(condition)
                current = current.otherwise
            else:
                current = current.then if known else current.otherwise
        if current is not None:
            self.items((current,))
        ends.join(self.state)
        ends.excused = excused
        self.state = ends

    def _switch(self, statement: ast.Switch) -> None:
        excused = self.state.excused
        self.after_action = {}
        self.read(statement.selector)
        # What is known after each action of a table; for a switch on a value, every label goes on from the same state.
        waiting = dict(self.after_action)
        on_action = bool(waiting)
        before = self.state
        ends, entry = FlowState(dead=True), FlowState(dead=True)
        has_default = False
        for case in statement.cases:
            if isinstance(case.label, ast.DefaultLiteral):
                has_default = True
                for state in waiting.values():
                    entry.join(state)
                if not on_action:
                    entry.join(before)
            elif on_action:
                entry.join(waiting.pop(self.checked.declaration_of.get(case.label), FlowState(dead=True)))
            else:
                entry.join(before)
            if case.body is not None:
                self.state = entry
                self.items((case.body,))
                ends.join(self.state)
                entry = FlowState(dead=True)
        ends.join(entry)
        if not has_default:
            for state in waiting.values():
                ends.join(state)
            if not on_action:
                ends.join(before)
        ends.excused = excused
        self.state = ends

    # -- loops

    def _for(self, statement: ast.For) -> None:
        self.items(statement.init)

        def once() -> FlowState:
            self.read(statement.condition)
            leaving = self.state.copy()
            self._body(statement.body)
            self.items(statement.update)
            return leaving

        self._loop(once)

    def _for_in(self, statement: ast.ForIn) -> None:
        self.read(statement.collection)

        def once() -> FlowState:
            leaving = self.state.copy()
            self.begin(self.checked.loop_variable_of[statement], is_set=True)
            self._body(statement.body)
            return leaving

        self._loop(once)

    def _body(self, body: ast.Statement) -> None:
        outer, self.continues = self.continues, FlowState(dead=True)
        self.items((body,))
        self.state.join(self.continues)
        self.continues = outer

    def _loop(self, once: Callable[[], FlowState]) -> None:
        """Follow a loop until its states do not change any more, then once again to say what is found.

        Args:
            once: follows one round from the present state, and gives the state in which the loop is left.
        """
        excused = self.state.excused
        outer, self.breaks = self.breaks, FlowState(dead=True)
        self.reports.quiet += 1
        while True:
            entry, key = self.state.copy(), self.state.key()
            once()
            self.state.join(entry)
            if self.state.key() == key:
                break
        self.reports.quiet -= 1
        self.breaks = FlowState(dead=True)
        self.state = once()
        self.state.join(self.breaks)
        self.state.excused = excused
        self.breaks = outer

    # -- parsers

    def states(self, parser: ast.Parser) -> None:
        """Follow the states from `start`; then `state` is that of `accept`, and `exits` has that of `reject`."""
        order = _in_order(parser, self.checked.declaration_of)
        position = {state: index for index, state in enumerate(order)}
        entries = [FlowState(dead=True) for _ in order]
        if not order:
            return
        entries[0] = self.state
        self.reports.quiet += 1
        changed = {0}
        while changed:
            index = min(changed)
            changed.remove(index)
            self.state = entries[index].copy()
            for name in self._state(order[index]):
                target = self.checked.declaration_of.get(name)
                if not isinstance(target, ast.ParserState):
                    continue
                at = position[target]
                key = entries[at].key()
                entries[at].join(self.state)
                if entries[at].key() != key:
                    changed.add(at)
        self.reports.quiet -= 1
        accepted = FlowState(dead=True)
        self.exits = FlowState(dead=True)
        for state, entry in zip(order, entries, strict=True):
            self.state = entry.copy()
            names = self._state(state)
            if any(name.text == "accept" for name in names):
                accepted.join(self.state)
            if any(name.text == "reject" for name in names) or not _is_exhaustive(state):
                self.exits.join(self.state)
        self.state = accepted

    def _state(self, state: ast.ParserState) -> list[ast.Name]:
        """Follow the state to its end; the names of those that come next."""
        self.items(state.body)
        transition = state.transition
        if isinstance(transition, ast.Name):
            return [transition]
        if transition is None:
            return []
        for key in transition.keys:
            self.read(key)
        return [case.target for case in transition.cases]


def _is_exhaustive(state: ast.ParserState) -> bool:
    """Some case of the transition always applies."""
    transition = state.transition
    if isinstance(transition, ast.Select):
        return any(isinstance(case.keyset, ast.DefaultLiteral | ast.DontCare) for case in transition.cases)
    return transition is not None


def _in_order(parser: ast.Parser, declaration_of: dict[ast.Node, ast.Declaration]) -> list[ast.ParserState]:
    """The states that can be reached, so that each comes after those before it wherever there is no cycle."""
    start = next((state for state in parser.states if state.name.text == "start"), None)
    if start is None:
        return []
    found: list[ast.ParserState] = []
    seen = {start}
    stack = [(start, _next_states(start, declaration_of))]
    while stack:
        state, waiting = stack[-1]
        if not waiting:
            found.append(state)
            stack.pop()
            continue
        following = waiting.pop()
        if following not in seen:
            seen.add(following)
            stack.append((following, _next_states(following, declaration_of)))
    return found[::-1]


def _next_states(state: ast.ParserState, declaration_of: dict[ast.Node, ast.Declaration]) -> list[ast.ParserState]:
    transition = state.transition
    if isinstance(transition, ast.Name):
        names = [transition]
    else:
        names = [case.target for case in transition.cases] if transition is not None else []
    targets = [declaration_of.get(name) for name in names]
    return [target for target in targets if isinstance(target, ast.ParserState)]


_FOLLOWERS: dict[type[ast.Node], Callable[[Any, Any], None]] = {
    ast.Variable: Statements._variable,
    ast.Assignment: Statements._assignment,
    ast.CallStatement: Statements._call,
    ast.DirectApplication: Statements._direct_application,
    ast.Block: Statements.block,
    ast.If: Statements._if,
    ast.Switch: Statements._switch,
    ast.For: Statements._for,
    ast.ForIn: Statements._for_in,
    ast.Return: Statements._return,
    ast.Exit: Statements._exit,
    ast.Break: Statements._break,
    ast.Continue: Statements._continue,
}
