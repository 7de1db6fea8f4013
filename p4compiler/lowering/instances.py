"""The objects of the elaborated program: what constructors make."""

from __future__ import annotations

from dataclasses import dataclass, field

from p4compiler.ir.objects import Action, ActionProfile, ControlPlaneObject, DirectCounter, Table
from p4compiler.lowering.scope import Scope
from p4compiler.lowering.values import Value
from p4compiler.syntax import ast
from p4compiler.types import model


@dataclass(slots=True, eq=False)
class Instance:
    """`name`: as the control plane sees it, with that of everything around it."""

    name: str


@dataclass(slots=True, eq=False)
class ExternInstance(Instance):
    """An object of an extern type. `object` is None for types that leave nothing behind (`Checksum16`)."""

    declaration: ast.ExternDeclaration
    type_arguments: tuple[model.Type, ...]
    object: ControlPlaneObject | None


@dataclass(slots=True, eq=False)
class ParserInstance(Instance):
    """`scope` holds the constructor's parameters and, when it has been applied, its parameters and locals."""

    declaration: ast.Parser
    scope: Scope
    objects: dict[ast.Node, Instance] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class TableInstance(Instance):
    """A table of a control's instance. `table` and `keys` are made when it is first applied.

    `copied_keys`: places that must be assigned before each application, for keys that call something.
    """

    declaration: ast.Table
    control: ControlInstance
    table: Table | None = None
    copied_keys: list[tuple[Value, ast.Expression]] = field(default_factory=list)
    actions: dict[ast.Action, Action] = field(default_factory=dict)
    profile: ActionProfile | None = None
    """The action profile that the table itself constructs; so for the counter."""
    constructed_counter: DirectCounter | None = None


@dataclass(slots=True, eq=False)
class ControlInstance(Instance):
    """`scope` holds the constructor's parameters and, once the instance has been applied, its parameters and locals."""

    declaration: ast.Control
    scope: Scope
    own_actions: frozenset[ast.Action]
    """Those that its declaration declares."""
    is_elaborated: bool = False
    is_declared: bool = False
    tables: dict[ast.Table, TableInstance] = field(default_factory=dict)
    actions: dict[ast.Action, Action] = field(default_factory=dict)
    called: dict[ast.Action, Action] = field(default_factory=dict)
    """Actions that were called directly: they are inlined, but the control plane knows of them."""
    bound_actions: list[Action] = field(default_factory=list)
    """Actions with arguments bound in a table's list; each belongs to one table."""
    objects: dict[ast.Node, Instance] = field(default_factory=dict)
    """What its declarations, direct applications too, have made, by their syntax."""


def child_name(prefix: str, name: str) -> str:
    """The full name of something inside `prefix`; a name with a leading dot is absolute."""
    if name.startswith("."):
        return name[1:]
    return f"{prefix}.{name}" if prefix else name
