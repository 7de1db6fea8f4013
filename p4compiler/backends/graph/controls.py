"""A control as a graph of what may happen after what."""

from __future__ import annotations

from p4compiler.backends.graph import text
from p4compiler.backends.graph.model import Cluster, Edge, Row, Shape, Tone
from p4compiler.ir import statements as st
from p4compiler.ir.objects import ActionReference, Table
from p4compiler.ir.program import Control
from p4compiler.ir.walk import blocks_of
from p4compiler.source import Span

MAX_ROWS = 24
"""A table with more actions than this is shown in part."""


class _Open:
    """An edge whose target is not known yet."""

    __slots__ = ("label", "source", "tone")

    def __init__(self, source: str, label: str = "", tone: Tone = Tone.PLAIN) -> None:
        self.source = source
        self.label = label
        self.tone = tone


Ends = list[_Open]


def draw_control(id_: str, title: str, control: Control, *, brief: bool = False) -> Cluster:
    """The flow from the start of the control's body to its end; `brief`: what only moves values is left out."""
    cluster = Cluster(id_, title)
    _Flow(cluster, control.name, brief).draw(control)
    return cluster


class _Flow:
    def __init__(self, cluster: Cluster, control: str, brief: bool) -> None:
        self._cluster = cluster
        self._brief = brief
        self._prefix = f"{control}."
        self._leaving: dict[st.Label, Ends] = {}
        self._exits: Ends = []

    def draw(self, control: Control) -> None:
        self._cluster.entry = self._cluster.node(Shape.TERMINAL, control.name, place=str(control.span))
        ends = self._block(control.body, [_Open(self._cluster.entry)])
        self._cluster.exit = self._cluster.node(Shape.TERMINAL, "end")
        self._close(ends + self._exits, self._cluster.exit)

    def _close(self, ends: Ends, target: str) -> None:
        self._cluster.edges += [Edge(end.source, target, end.label, end.tone) for end in ends]

    def _node(self, ends: Ends, shape: Shape, title: str, rows: tuple[Row, ...], span: Span) -> str:
        made = self._cluster.node(shape, title, rows, str(span))
        self._close(ends, made)
        return made

    def _block(self, block: st.Block, ends: Ends) -> Ends:
        """Draw the statements behind `ends`; where control goes on from. Nothing is drawn that is never reached."""
        straight: list[st.Statement] = []
        for statement in block:
            if not ends:
                break
            if self._brief and _is_quiet(statement):
                continue
            if _is_flow(statement):
                ends = self._statement(statement, self._straight(straight, ends))
                straight = []
            else:
                straight.append(statement)
        return self._straight(straight, ends) if ends else ends

    def _straight(self, statements: list[st.Statement], ends: Ends) -> Ends:
        if not statements:
            return ends
        plain = all(isinstance(each, text.PLAIN) for each in statements)
        rows = tuple(Row("", self._short(line)) for line in text.summary(tuple(statements)))
        shape = Shape.STATEMENTS if plain else Shape.EXTERNS
        return [_Open(self._node(ends, shape, "", rows, statements[0].span))]

    def _statement(self, statement: st.Statement, ends: Ends) -> Ends:
        match statement:
            case st.If(condition=condition, then=then, otherwise=otherwise):
                lines = text.wrap(self._short(text.expression(condition)))
                node = self._node(ends, Shape.CONDITION, "\n".join(lines), (), statement.span)
                after_then = self._block(then, [_Open(node, "true", Tone.YES)])
                return after_then + self._block(otherwise, [_Open(node, "false", Tone.NO)])
            case st.ApplyTable(table=table):
                return [_Open(self._table(table, ends, statement.span))]
            case st.ApplyHit(table=table, hit=hit, miss=miss):
                node = self._table(table, ends, statement.span)
                after_hit = self._block(hit, [_Open(node, "hit", Tone.YES)])
                return after_hit + self._block(miss, [_Open(node, "miss", Tone.NO)])
            case st.ApplySwitch(table=table, cases=cases, default=default):
                node = self._table(table, ends, statement.span)
                after: Ends = []
                for case in cases:
                    names = "\n".join(self._short(action.name) for action in case.actions)
                    after += self._block(case.body, [_Open(node, names)])
                return after + self._block(default, [_Open(node, "default")])
            case st.Region(label=label, body=body):
                self._leaving[label] = []
                return self._block(body, ends) + self._leaving.pop(label)
            case st.Loop(label=label, body=body):
                self._leaving[label] = []
                head = self._node(ends, Shape.JOIN, "loop", (), statement.span)
                self._close(self._block(body, [_Open(head)]), head)
                return self._leaving.pop(label)
            case st.Leave(label=label):
                self._leaving[label] += ends
                return []
            case st.Exit():
                self._exits += [_Open(self._node(ends, Shape.STATEMENTS, "", (Row("", "exit"),), statement.span))]
                return []
        raise TypeError(statement)

    def _table(self, table: Table, ends: Ends, span: Span) -> str:
        rows = [
            Row("key", text.shorten(f"{text.expression(key.expression)} : {key.match_kind.value}"))
            for key in table.keys
        ]
        default = None if table.default is None else table.default.action
        shown = table.actions if len(table.actions) <= MAX_ROWS else table.actions[: MAX_ROWS - 1]
        rows += [Row("action", self._action(reference, reference.action is default)) for reference in shown]
        if len(shown) < len(table.actions):
            rows.append(Row("action", f"… {len(table.actions) - len(shown)} more"))
        if table.profile is not None:
            word = "profile" if table.profile.algorithm is None else "selector"
            rows.append(Row(word, self._short(table.profile.name)))
        if table.direct_counter is not None:
            rows.append(Row("counter", self._short(table.direct_counter.name)))
        if table.direct_meter is not None:
            rows.append(Row("meter", self._short(table.direct_meter.name)))
        if table.entries:
            rows.append(Row("entries", f"{len(table.entries)} {'constant' if table.entries_are_const else 'initial'}"))
        return self._node(ends, Shape.TABLE, self._short(table.name), tuple(rows), span)

    def _action(self, reference: ActionReference, is_default: bool) -> str:
        action = reference.action
        parameters = ", ".join(parameter.name for parameter in action.parameters)
        line = f"{self._short(action.name)}({parameters})"
        called = text.externs_of(action.body)
        if called:
            line += f" → {', '.join(called)}"
        return text.shorten(line) + (" (default)" if is_default else "")

    def _short(self, words: str) -> str:
        """Without the control's own name in front of its objects'."""
        return words.replace(self._prefix, "")


def _is_quiet(statement: st.Statement, inside: frozenset[st.Label] = frozenset()) -> bool:
    """Nothing in it but values that are moved, and control goes on behind it."""
    match statement:
        case st.Leave(label=label):
            return label in inside
        case st.ApplyHit() | st.ApplySwitch():
            return False
        case st.Region(label=label) | st.Loop(label=label):
            inside |= {label}
    blocks = blocks_of(statement)
    if blocks:
        return all(_is_quiet(inner, inside) for block in blocks for inner in block)
    return isinstance(statement, text.PLAIN)


def _is_flow(statement: st.Statement) -> bool:
    """Something that other ways than the next statement may follow, or that has a shape of its own."""
    return bool(blocks_of(statement)) or isinstance(
        statement, st.If | st.Region | st.Loop | st.Leave | st.Exit | st.ApplyTable | st.ApplyHit | st.ApplySwitch
    )
