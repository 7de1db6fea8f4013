"""Put the statements of a control into actions, for that is where BMv2 runs them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath

from p4compiler.ir import objects as ob
from p4compiler.ir import statements as st
from p4compiler.ir.program import Control, Program
from p4compiler.ir.walk import blocks_of, statements_of
from p4compiler.passes.rewriter import with_blocks
from p4compiler.source import Span


def synthesize_actions(program: Program) -> Program:
    """Wrap runs of statements between tables and conditions into hidden tables without keys.

    Before:
        x = 1; y = 2;
        if (c) { z = 3; }
        t.apply();
    After:
        tbl_f10.apply();                        hidden action f10() { x = 1; y = 2; }
        if (c) { tbl_f12.apply(); }             hidden action f12() { z = 3; }
        t.apply();
    """
    synthesis = _Synthesis(program)
    ingress, egress = synthesis.control(program.ingress), synthesis.control(program.egress)
    objects = replace(
        program.objects,
        actions=program.objects.actions + tuple(synthesis.actions),
        tables=program.objects.tables + tuple(synthesis.tables),
    )
    return replace(program, ingress=ingress, egress=egress, objects=objects)


class _Synthesis:
    def __init__(self, program: Program) -> None:
        stem = PurePath(program.file).stem
        self._prefix = "".join(c if c.isalnum() else "_" for c in stem) or "p4"
        self._names = {o.name for o in (*program.objects.actions, *program.objects.tables)}
        self.actions: list[ob.Action] = []
        self.tables: list[ob.Table] = []

    def control(self, control: Control) -> Control:
        return Control(control.span, control.name, self._block(control.body))

    def _block(self, block: st.Block) -> st.Block:
        result: list[st.Statement] = []
        run: list[st.Statement] = []
        for statement in block:
            if belongs_in_action(statement):
                run.append(statement)
                continue
            self._finish(run, result)
            result.append(with_blocks(statement, self._block) if blocks_of(statement) else statement)
        self._finish(run, result)
        return tuple(result)

    def _finish(self, run: list[st.Statement], result: list[st.Statement]) -> None:
        if run:
            result.append(st.ApplyTable(run[0].span, self._table(tuple(run), run[0].span)))
            run.clear()

    def _table(self, body: st.Block, span: Span) -> ob.Table:
        name = self._unique(f"{self._prefix}{span.position.line}")
        action = ob.Action(span, name, (), True, (), body)
        table = ob.Table(
            span,
            f"tbl_{name}",
            (),
            True,
            keys=(),
            actions=(ob.ActionReference(action, ()),),
            default=ob.ActionCall(action, ()),
            default_is_const=True,
            size=0,
            entries=None,
            entries_are_const=False,
            profile=None,
            direct_counter=None,
            direct_meter=None,
            support_timeout=False,
        )
        self.actions.append(action)
        self.tables.append(table)
        return table

    def _unique(self, hint: str) -> str:
        name, number = hint, 0
        while name in self._names or f"tbl_{name}" in self._names:
            name = f"{hint}_{number}"
            number += 1
        self._names |= {name, f"tbl_{name}"}
        return name


_FLOW = (st.If, st.Region, st.Leave, st.Exit, st.ApplyTable, st.ApplyHit, st.ApplySwitch)


def belongs_in_action(statement: st.Statement) -> bool:
    """Everything but the control flow that the pipeline itself can do; a loop too, if it applies no table and stays inside."""
    if isinstance(statement, st.Loop):
        inside = list(statements_of((statement,)))
        labels = {s.label for s in inside if isinstance(s, st.Loop | st.Region)}
        return not any(
            isinstance(s, st.ApplyTable | st.ApplyHit | st.ApplySwitch)
            or (isinstance(s, st.Leave) and s.label not in labels)
            for s in inside
        )
    return not isinstance(statement, _FLOW)
