"""Rewriting a program's statements, wherever they stand: controls, parser states, actions.

Tables and actions refer to one another by identity, so a new body of an action means a new action, new tables and new
statements that apply them. `rewrite_program` keeps all of that consistent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from p4compiler.ir import objects as ob
from p4compiler.ir import statements as st
from p4compiler.ir.program import Control, Parser, ParserState, Program
from p4compiler.ir.walk import blocks_of

BlockRewrite = Callable[[st.Block], st.Block]


def with_blocks(statement: st.Statement, rewrite: BlockRewrite) -> st.Statement:
    """The statement with its inner blocks rewritten; itself if it has none."""
    match statement:
        case st.If(span=span, condition=condition, then=then, otherwise=otherwise):
            return st.If(span, condition, rewrite(then), rewrite(otherwise))
        case st.Region(span=span, label=label, body=body):
            return st.Region(span, label, rewrite(body))
        case st.Loop(span=span, label=label, body=body):
            return st.Loop(span, label, rewrite(body))
        case st.ApplyHit(span=span, table=table, hit=hit, miss=miss):
            return st.ApplyHit(span, table, rewrite(hit), rewrite(miss))
        case st.ApplySwitch(span=span, table=table, cases=cases, default=default):
            new_cases = tuple(st.ActionCase(case.actions, rewrite(case.body)) for case in cases)
            return st.ApplySwitch(span, table, new_cases, rewrite(default))
    return statement


class Rewrite:
    """What a pass does. Each method returns its argument where there is nothing to do.

    `block` is called on the outermost blocks and has to go into the inner ones itself.
    """

    def block(self, block: st.Block) -> st.Block:
        return block

    def action_body(self, action: ob.Action) -> st.Block:
        return self.block(action.body)

    def control(self, control: Control) -> st.Block:
        return self.block(control.body)

    def state(self, state: ParserState) -> ParserState:
        return state

    def keys(self, table: ob.Table) -> tuple[ob.Key, ...]:
        return table.keys

    def fixed_controls(self) -> frozenset[str]:
        """Attributes of `Program` whose control is left alone."""
        return frozenset()


def rewrite_program(program: Program, rewrite: Rewrite) -> Program:
    """The program with everything that `rewrite` makes of its parts."""
    actions = {action: _action(action, rewrite) for action in program.objects.actions}
    tables = {table: _table(table, actions, rewrite.keys(table)) for table in program.objects.tables}
    relink = _Relink(actions, tables)
    fixed = rewrite.fixed_controls()

    def changed(name: str, control: Control) -> Control:
        body = control.body if name in fixed else rewrite.control(control)
        return Control(control.span, control.name, relink.block(body))

    states = tuple(rewrite.state(state) for state in program.parser.states)
    parser = Parser(program.parser.span, program.parser.name, states)
    objects = replace(program.objects, actions=tuple(actions.values()), tables=tuple(tables.values()))
    return replace(
        program,
        parser=parser,
        objects=objects,
        verify_checksum=changed("verify_checksum", program.verify_checksum),
        ingress=changed("ingress", program.ingress),
        egress=changed("egress", program.egress),
        compute_checksum=changed("compute_checksum", program.compute_checksum),
        deparser=changed("deparser", program.deparser),
    )


def _action(action: ob.Action, rewrite: Rewrite) -> ob.Action:
    body = rewrite.action_body(action)
    if body is action.body:
        return action
    return ob.Action(action.span, action.name, action.annotations, action.hidden, action.parameters, body)


def _table(table: ob.Table, actions: dict[ob.Action, ob.Action], keys: tuple[ob.Key, ...]) -> ob.Table:
    def call(old: ob.ActionCall) -> ob.ActionCall:
        return ob.ActionCall(actions[old.action], old.arguments)

    return ob.Table(
        table.span,
        table.name,
        table.annotations,
        table.hidden,
        keys,
        tuple(ob.ActionReference(actions[r.action], r.annotations) for r in table.actions),
        None if table.default is None else call(table.default),
        table.default_is_const,
        table.size,
        None
        if table.entries is None
        else tuple(
            ob.Entry(e.span, e.keys, call(e.call), e.priority, e.runtime_priority, e.is_const) for e in table.entries
        ),
        table.entries_are_const,
        table.profile,
        table.direct_counter,
        table.direct_meter,
        table.support_timeout,
    )


class _Relink:
    """Points statements to the new tables and actions."""

    def __init__(self, actions: dict[ob.Action, ob.Action], tables: dict[ob.Table, ob.Table]) -> None:
        self._actions = actions
        self._tables = tables

    def block(self, block: st.Block) -> st.Block:
        return tuple(self._statement(statement) for statement in block)

    def _statement(self, statement: st.Statement) -> st.Statement:
        match statement:
            case st.ApplyTable(span=span, table=table):
                return st.ApplyTable(span, self._tables.get(table, table))
            case st.ApplyHit(span=span, table=table, hit=hit, miss=miss):
                return st.ApplyHit(span, self._tables.get(table, table), self.block(hit), self.block(miss))
            case st.ApplySwitch(span=span, table=table, cases=cases, default=default):
                new_cases = tuple(
                    st.ActionCase(tuple(self._actions.get(a, a) for a in case.actions), self.block(case.body))
                    for case in cases
                )
                return st.ApplySwitch(span, self._tables.get(table, table), new_cases, self.block(default))
        return with_blocks(statement, self.block) if blocks_of(statement) else statement
