"""A graph to be drawn: nodes that say what they are, edges, and a cluster for each part of the program."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Shape(Enum):
    """What a node stands for; the drawing follows from it."""

    TERMINAL = "terminal"
    """Where a part begins or ends."""
    STATE = "state"
    CONDITION = "condition"
    TABLE = "table"
    STATEMENTS = "statements"
    EXTERNS = "externs"
    """Statements with calls of externs among them."""
    JOIN = "join"
    """The head of a loop."""


class Tone(Enum):
    """What an edge means, apart from its label."""

    PLAIN = "plain"
    YES = "yes"
    NO = "no"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a node: what it is about (`key`, `action`; may be empty), and the text."""

    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Node:
    """`place`: file, line and column, shown when the mouse rests on the node."""

    id: str
    shape: Shape
    title: str
    rows: tuple[Row, ...] = ()
    place: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    source: str
    target: str
    label: str = ""
    tone: Tone = Tone.PLAIN


@dataclass(slots=True)
class Cluster:
    """A part of the program: the parser or one of the controls."""

    id: str
    title: str
    entry: str = ""
    exit: str = ""
    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)

    def node(self, shape: Shape, title: str, rows: tuple[Row, ...] = (), place: str = "") -> str:
        """Add a node; its id."""
        made = Node(f"{self.id}_{len(self.nodes)}", shape, title, rows, place)
        self.nodes.append(made)
        return made.id


@dataclass(frozen=True, slots=True)
class Graph:
    """The clusters in the order in which a packet meets them."""

    title: str
    clusters: tuple[Cluster, ...]
