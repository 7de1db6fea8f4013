"""The parser as a graph: a node for each state, an edge for each way to another."""

from __future__ import annotations

from p4compiler.backends.graph import text
from p4compiler.backends.graph.model import Cluster, Edge, Row, Shape
from p4compiler.ir.program import Parser, ParserState, Pattern, Program, SelectCase, ValueSetCase
from p4compiler.ir.types import width_of

ACCEPT = "accept"
MAX_VALUES = 6
"""So many values are listed at an edge; the rest is counted."""


def draw_parser(program: Program, title: str) -> Cluster:
    """All states that can be reached from the first one, and `accept`."""
    parser = program.parser
    cluster = Cluster("parser", title)
    states = _reachable(parser)
    ids = {state.name: cluster.node(*_content(state, program.errors)) for state in states}
    accept = cluster.node(Shape.TERMINAL, ACCEPT)
    for state in states:
        for target, label in _edges(state):
            cluster.edges.append(Edge(ids[state.name], accept if target is None else ids[target], label))
    cluster.entry, cluster.exit = ids[states[0].name], accept
    return cluster


def _reachable(parser: Parser) -> list[ParserState]:
    """In the order of the program, the first one first."""
    by_name = {state.name: state for state in parser.states}
    seen: set[str] = set()
    waiting = [parser.states[0].name]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += [case.target for case in by_name[name].transition.cases if case.target is not None]
    return [state for state in parser.states if state.name in seen]


def _content(state: ParserState, errors: tuple[str, ...]) -> tuple[Shape, str, tuple[Row, ...], str]:
    rows = [Row("", line) for line in text.summary(state.body, errors)]
    keys = ", ".join(map(text.expression, state.transition.keys))
    if keys:
        rows.append(Row("select", text.shorten(keys)))
    return Shape.STATE, state.name, tuple(rows), str(state.span)


def _edges(state: ParserState) -> list[tuple[str | None, str]]:
    """Each target once, with the values that lead there; cases behind one that catches everything lead nowhere."""
    transition = state.transition
    if not transition.keys:
        return [(transition.cases[0].target if transition.cases else None, "")]
    widths = [width_of(key.type) for key in transition.keys]
    labels: dict[str | None, list[str]] = {}
    caught = False
    for case in transition.cases:
        labels.setdefault(case.target, []).append(_case(case, widths))
        if isinstance(case, SelectCase) and all(_matches_all(pattern) for pattern in case.patterns):
            caught = True
            break
    if not caught:
        labels.setdefault(None, []).append("no match")
    return [(target, _join(values)) for target, values in labels.items()]


def _join(values: list[str]) -> str:
    if len(values) > MAX_VALUES:
        values = [*values[: MAX_VALUES - 1], f"… {len(values) - MAX_VALUES + 1} more"]
    return "\n".join(values)


def _case(case: SelectCase | ValueSetCase, widths: list[int]) -> str:
    if isinstance(case, ValueSetCase):
        return f"in {case.value_set.name}"
    if all(_matches_all(pattern) for pattern in case.patterns):
        return "default"
    return ", ".join(_pattern(pattern, width) for pattern, width in zip(case.patterns, widths, strict=True))


def _matches_all(pattern: Pattern) -> bool:
    return pattern.mask == 0


def _pattern(pattern: Pattern, width: int) -> str:
    if _matches_all(pattern):
        return "_"
    shown = hex(pattern.value) if width > 8 and pattern.value > 9 else str(pattern.value)
    if pattern.mask is None or pattern.mask == (1 << width) - 1:
        return shown
    return f"{hex(pattern.value)} &&& {hex(pattern.mask)}"
