"""The control flow of ingress and egress: structured statements to a graph of tables and conditionals.

The graph is built backwards: the entry of a statement needs the name of what comes after it. BMv2 knows a table once,
with one set of successors; a program that needs more is refused here.
"""

from __future__ import annotations

from p4compiler.backends.bmv2 import document as doc
from p4compiler.backends.bmv2.actions import condition_value
from p4compiler.backends.bmv2.context import Context
from p4compiler.backends.bmv2.tables import generate_action_profile, generate_table
from p4compiler.backends.bmv2.values import BooleanValue, Value
from p4compiler.ir import statements as st
from p4compiler.ir.objects import Action, ActionProfile, Table
from p4compiler.ir.program import Control
from p4compiler.source import Span

Successors = tuple[str | None, tuple[tuple[str, str | None], ...]]
"""`base_default_next` and `next_tables`."""


def generate_pipeline(context: Context, name: str, control: Control) -> None:
    """Add the pipeline `ingress` or `egress` to the document."""
    builder = _Builder(context)
    first = builder.block(control.body, None)
    context.document.pipelines.append(
        doc.Pipeline(
            name,
            context.next_id("pipelines"),
            doc.SourceInfo.of(control.span),
            first,
            list(reversed(builder.tables)),
            builder.profiles(),
            list(reversed(builder.conditionals)),
        )
    )


class _Builder:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._successors: dict[Table, Successors] = {}
        self._profiles: dict[ActionProfile, Table] = {}
        self._exits: dict[st.Label, str | None] = {}
        self.tables: list[doc.Table] = []
        self.conditionals: list[doc.Conditional] = []

    def profiles(self) -> list[doc.ActionProfile]:
        return [generate_action_profile(self._context, profile, table) for profile, table in self._profiles.items()]

    def block(self, block: st.Block, after: str | None) -> str | None:
        """The entry of the block, whose end goes on at `after` (None: the end of the pipeline)."""
        for statement in reversed(block):
            after = self._statement(statement, after)
        return after

    def _statement(self, statement: st.Statement, after: str | None) -> str | None:
        match statement:
            case st.If(condition=condition, then=then, otherwise=otherwise):
                true_next = self.block(then, after)
                false_next = self.block(otherwise, after)
                return self._conditional(condition_value(condition), true_next, false_next, condition.span)
            case st.Region(label=label, body=body):
                self._exits[label] = after
                return self.block(body, after)
            case st.Loop(label=label, body=body):
                self._exits[label] = after
                head = doc.Conditional(*self._new_node(statement.span), BooleanValue(True), None, None)
                head.true_next = self.block(body, head.name)
                head.false_next = after
                self.conditionals.append(head)
                return head.name
            case st.Leave(label=label):
                return self._exits[label]
            case st.Exit():
                return None
            case st.ApplyTable(table=table):
                return self._apply(table, after, self._by_action(table, {}, after), statement.span)
            case st.ApplyHit(table=table, hit=hit, miss=miss):
                next_tables = {"__HIT__": self.block(hit, after), "__MISS__": self.block(miss, after)}
                return self._apply(table, None, next_tables, statement.span)
            case st.ApplySwitch(table=table, cases=cases, default=default):
                entries: dict[Action, str | None] = {}
                for case in cases:
                    entry = self.block(case.body, after)
                    entries.update(dict.fromkeys(case.actions, entry))
                by_name = {action.name: entry for action, entry in entries.items()}
                return self._apply(
                    table, after, self._by_action(table, by_name, self.block(default, after)), statement.span
                )
        raise TypeError(f"{type(statement).__name__} must be inside an action")

    def _by_action(self, table: Table, known: dict[str, str | None], default: str | None) -> dict[str, str | None]:
        names = [reference.action.name for reference in table.actions]
        return {name: known.get(name, default) for name in names}

    def _new_node(self, span: Span) -> tuple[str, int, doc.SourceInfo]:
        number = self._context.next_id("conditionals")
        return f"node_{number + 2}", number, doc.SourceInfo.of(span)

    def _conditional(self, condition: Value, true_next: str | None, false_next: str | None, span: Span) -> str | None:
        if true_next == false_next:
            return true_next
        node = doc.Conditional(*self._new_node(span), condition, true_next, false_next)
        self.conditionals.append(node)
        return node.name

    def _apply(self, table: Table, base: str | None, next_tables: dict[str, str | None], span: Span) -> str:
        successors: Successors = (base, tuple(next_tables.items()))
        known = self._successors.get(table)
        if known is None:
            self._successors[table] = successors
            if table.profile is not None:
                self._profiles.setdefault(table.profile, table)
            self.tables.append(generate_table(self._context, table, base, next_tables))
        elif known != successors:
            self._context.unsupported(
                f"table '{table.name}' is applied more than once, and what comes next differs:"
                " BMv2 can hold a table only once",
                span,
            )
        return table.name
