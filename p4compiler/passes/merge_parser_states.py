"""Drop parser states that nothing leads to, and join those that only follow one another."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from p4compiler.ir import statements as st
from p4compiler.ir.program import Parser, ParserState, Program, SelectCase


def merge_parser_states(program: Program) -> Program:
    """Inlining and branches leave many small states behind.

    Before:
        state start { extract(a); goto s1; }
        state s1 { extract(b); goto accept; }
        state s2 { goto accept; }
    After:
        state start { extract(a); extract(b); goto accept; }
    """
    states = {state.name: state for state in program.parser.states}
    start = program.parser.states[0].name
    order = _reachable(states, start)
    users = Counter(target for name in order for target in _targets(states[name]))
    merged: dict[str, ParserState] = {}
    absorbed: set[str] = set()
    for name in order:
        if name in absorbed:
            continue
        state = states[name]
        following = _only_successor(state)
        while following is not None and users[following] == 1 and following not in (start, name):
            absorbed.add(following)
            next_state = states[following]
            body: st.Block = state.body + next_state.body
            state = ParserState(state.span, state.name, body, next_state.transition)
            following = _only_successor(state)
        merged[name] = state
    parser = Parser(program.parser.span, program.parser.name, tuple(merged.values()))
    return replace(program, parser=parser)


def _targets(state: ParserState) -> list[str]:
    return [case.target for case in state.transition.cases if case.target is not None]


def _reachable(states: dict[str, ParserState], start: str) -> list[str]:
    """In the order in which they are found, the start first."""
    seen = {start: None}
    waiting = [start]
    while waiting:
        for target in _targets(states[waiting.pop()]):
            if target not in seen:
                seen[target] = None
                waiting.append(target)
    return list(seen)


def _only_successor(state: ParserState) -> str | None:
    """Where an unconditional transition leads."""
    cases = state.transition.cases
    if len(cases) == 1 and isinstance(cases[0], SelectCase) and not state.transition.keys:
        return cases[0].target
    return None
