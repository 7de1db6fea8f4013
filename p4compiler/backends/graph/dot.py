"""A graph in Graphviz's language, with the looks that make it readable."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

from p4compiler.backends.graph.model import Cluster, Edge, Graph, Node, Shape, Tone

_GRAPH = (
    'graph [rankdir=TB, fontname="Helvetica", fontsize=14, nodesep=0.3, ranksep=0.35, bgcolor="white"]',
    'node [fontname="Helvetica", fontsize=10, margin="0.12,0.06", color="#455a64", penwidth=1]',
    'edge [fontname="Helvetica", fontsize=9, color="#607d8b", arrowsize=0.7]',
)
_CLUSTER = 'style="rounded", color="#b0bec5", fontcolor="#37474f", labeljust=l'
_BORDERS = {Shape.TABLE: "#1565c0", Shape.STATE: "#2e7d32"}
_FILLS = {
    Shape.TABLE: "#e3f2fd",
    Shape.STATE: "#e8f5e9",
    Shape.CONDITION: "#fff8e1",
    Shape.STATEMENTS: "#fafafa",
    Shape.EXTERNS: "#fff3e0",
    Shape.TERMINAL: "#eceff1",
    Shape.JOIN: "#eceff1",
}
_TONES = {
    Tone.PLAIN: "",
    Tone.YES: ', color="#2e7d32", fontcolor="#2e7d32"',
    Tone.NO: ', color="#c62828", fontcolor="#c62828"',
}


def write_dot(graph: Graph) -> str:
    """The graph as a `digraph`, one cluster a part; parts follow one another as a packet goes."""
    return "\n".join(_lines(graph)) + "\n"


def _lines(graph: Graph) -> Iterator[str]:
    yield f"digraph {_quote(graph.title)} {{"
    for line in _GRAPH:
        yield f"  {line};"
    for cluster in graph.clusters:
        yield from _cluster(cluster)
    for one, following in zip(graph.clusters, graph.clusters[1:], strict=False):
        yield f"  {one.exit} -> {following.entry} [style=bold];"
    yield "}"


def _cluster(cluster: Cluster) -> Iterator[str]:
    yield f"  subgraph cluster_{cluster.id} {{"
    yield f"    graph [label={_quote(cluster.title)}, {_CLUSTER}];"
    for node in cluster.nodes:
        yield f"    {node.id} [{_node(node)}];"
    for edge in cluster.edges:
        yield f"    {_edge(edge)};"
    yield "  }"


def _edge(edge: Edge) -> str:
    label = f"label={_quote(f' {edge.label} ', left=True)}" if edge.label else ""
    attributes = f"{label}{_TONES[edge.tone]}"
    return f"{edge.source} -> {edge.target}" + (f" [{attributes}]" if attributes else "")


def _node(node: Node) -> str:
    fill = f'style="filled", fillcolor="{_FILLS[node.shape]}"'
    place = f", tooltip={_quote(node.place)}" if node.place else ""
    match node.shape:
        case Shape.TABLE | Shape.STATE:
            border = f'color="{_BORDERS[node.shape]}", penwidth=1.5'
            return f"shape=record, {fill}, {border}, label={_record(node)}{place}"
        case Shape.CONDITION:
            return f"shape=hexagon, {fill}, label={_quote(node.title)}{place}"
        case Shape.TERMINAL:
            return f'shape=box, style="filled,rounded", fillcolor="{_FILLS[node.shape]}", label={_quote(node.title)}{place}'
        case Shape.JOIN:
            return f"shape=circle, {fill}, label={_quote(node.title)}{place}"
    lines = "".join(f"{row.text}\n" for row in node.rows)
    return f"shape=box, {fill}, label={_quote(lines, left=True)}{place}"


def _record(node: Node) -> str:
    """A title, and a field for each run of rows with the same heading. (HTML-like labels are not in every build of Graphviz.)"""
    sections = [_field(node.title)]
    for heading, rows in groupby(node.rows, key=lambda row: row.heading):
        lines = [f"{heading}  {row.text}" if heading in _SAID else row.text for row in rows]
        sections.append("".join(f"{_field(line)}\\l" for line in lines))
    return '"{' + " | ".join(sections) + '}"'


_SAID = frozenset({"select", "profile", "selector", "counter", "meter", "entries"})
"""Headings that do not go without saying."""


def _field(text: str) -> str:
    """Text in a field of a record."""
    return _FIELD.sub(r"\\\g<0>", _printable(text))


_FIELD = re.compile(r'[\\"{}|<>]')


def _quote(text: str, *, left: bool = False) -> str:
    """A DOT string; `left`: its lines are aligned to the left."""
    escaped = _printable(text).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\l" if left else "\\n") + '"'


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
