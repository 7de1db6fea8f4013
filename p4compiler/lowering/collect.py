"""Gathers the control plane's objects in the order in which p4c lists them in P4Info.

That order is one of breadth: what the top level holds, then what each block of the package holds in the order of its text, with
the contents of an inlined control standing where its instance is declared, and actions of the top level before the block's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from p4compiler.ir import objects as ob
from p4compiler.ir.program import Objects
from p4compiler.lowering.annotations import (
    external_name,
    get_annotation,
    has_annotation,
    lower_annotations,
    string_argument,
)
from p4compiler.lowering.instances import ControlInstance, ExternInstance, Instance, ParserInstance, TableInstance
from p4compiler.lowering.session import Session
from p4compiler.syntax import ast
from p4compiler.types import model


def collect_objects(session: Session, blocks: Iterable[ParserInstance | ControlInstance]) -> Objects:
    """All objects of the program; each once."""
    instances = [*session.instances.values()]
    actions: dict[ob.Action, None] = {}
    for block in blocks:
        inside = list(_inside(block))
        instances += inside
        if isinstance(block, ControlInstance):
            tables = [i.table for i in inside if isinstance(i, TableInstance) and i.table is not None]
            actions.update(dict.fromkeys(_actions(session, block, tables)))
    externs = [i.object for i in instances if isinstance(i, ExternInstance) and i.object is not None]
    profiles = [p for i in instances if (p := _profile(i)) is not None]

    return Objects(
        tables=tuple(i.table for i in instances if isinstance(i, TableInstance) and i.table is not None),
        actions=tuple(actions),
        action_profiles=tuple(profiles),
        counters=tuple(o for o in externs if isinstance(o, ob.Counter)),
        direct_counters=tuple(_direct_counters(instances)),
        meters=tuple(o for o in externs if isinstance(o, ob.Meter)),
        direct_meters=tuple(o for o in externs if isinstance(o, ob.DirectMeter)),
        registers=tuple(o for o in externs if isinstance(o, ob.Register)),
        externs=tuple(o for o in externs if isinstance(o, ob.ExternObject)),
        digests=tuple(session.digests.values()),
        value_sets=tuple(v for v in session.value_sets.values() if v in session.used_value_sets),
        controller_headers=tuple(_controller_headers(session)),
    )


def _profile(instance: Instance) -> ob.ActionProfile | None:
    if isinstance(instance, TableInstance):
        return instance.profile if instance.table is not None else None
    if isinstance(instance, ExternInstance) and isinstance(instance.object, ob.ActionProfile):
        return instance.object
    return None


def _direct_counters(instances: Iterable[Instance]) -> Iterator[ob.DirectCounter]:
    """Those that a table constructs stand where the table does."""
    seen: set[ob.DirectCounter] = set()
    for instance in instances:
        found = None
        if isinstance(instance, ExternInstance) and isinstance(instance.object, ob.DirectCounter):
            found = instance.object
        elif isinstance(instance, TableInstance) and instance.table is not None:
            found = instance.constructed_counter
        if found is not None and found not in seen:
            seen.add(found)
            yield found


def _inside(block: ParserInstance | ControlInstance) -> Iterator[Instance]:
    """Externs and tables of a block and of the controls inlined in it."""
    for declaration in block.declaration.locals:
        found: Instance | None = None
        if isinstance(declaration, ast.Table) and isinstance(block, ControlInstance):
            found = block.tables.get(declaration)
        elif isinstance(declaration, ast.Instantiation):
            found = block.objects.get(declaration)
        if found is not None:
            yield from _expand(found)
    # Those of direct applications come last.
    declared = set(block.declaration.locals)
    for node, instance in block.objects.items():
        if node not in declared:
            yield from _expand(instance)


def _expand(instance: Instance) -> Iterator[Instance]:
    if isinstance(instance, ControlInstance | ParserInstance):
        yield from _inside(instance)
    else:
        yield instance


def _actions(session: Session, block: ControlInstance, tables: list[ob.Table]) -> Iterator[ob.Action]:
    """Actions of the top level that the tables use, then the block's own."""
    shared = {*session.global_actions.values(), *session.bound_actions}
    for table in tables:
        for reference in table.actions:
            if reference.action in shared:
                yield reference.action
    yield from _called_from_top_level(block)
    yield from _own_actions(block)


def _called_from_top_level(block: ControlInstance) -> Iterator[ob.Action]:
    """Actions of the top level that the block, or a control inlined in it, calls."""
    declared = set(block.declaration.locals)
    yield from (action for declaration, action in block.called.items() if declaration not in declared)
    for instance in block.objects.values():
        if isinstance(instance, ControlInstance):
            yield from _called_from_top_level(instance)


def _own_actions(block: ControlInstance) -> Iterator[ob.Action]:
    declared = set(block.declaration.locals)
    for declaration in block.declaration.locals:
        if isinstance(declaration, ast.Action):
            for known in (block.actions.get(declaration), *_bound(block, declaration)):
                if known is not None:
                    yield known
            called = block.called.get(declaration)
            if called is not None and declaration not in block.actions:
                yield called
        elif isinstance(declaration, ast.Instantiation):
            nested = block.objects.get(declaration)
            if isinstance(nested, ControlInstance):
                yield from _own_actions(nested)
    for node, instance in block.objects.items():
        if node not in declared and isinstance(instance, ControlInstance):
            yield from _own_actions(instance)


def _bound(block: ControlInstance, declaration: ast.Action) -> list[ob.Action]:
    return [action for action in block.bound_actions if action.span is declaration.span]


def _controller_headers(session: Session) -> Iterator[ob.ControllerHeader]:
    for declaration in session.checked.program.declarations:
        if not isinstance(declaration, ast.HeaderDeclaration):
            continue
        annotation = get_annotation(declaration, "controller_header")
        if annotation is None:
            continue
        yield ob.ControllerHeader(
            declaration.span,
            external_name(declaration).removeprefix("."),
            lower_annotations(declaration.annotations),
            has_annotation(declaration, "hidden"),
            string_argument(annotation) or declaration.name.text,
            tuple(_controller_fields(session, model.HeaderType(declaration, ()), "")),
        )


def _controller_fields(
    session: Session, type_: model.StructLikeType, prefix: str
) -> Iterator[ob.ControllerHeaderField]:
    """Nested structures are flattened."""
    for field in session.types.fields(type_):
        declaration = field.declaration
        assert declaration is not None
        name = prefix + external_name(declaration).removeprefix(".")
        if isinstance(field.type, model.StructType):
            yield from _controller_fields(session, field.type, f"{name}.")
        else:
            yield ob.ControllerHeaderField(
                name,
                session.types.data_type(field.type),
                lower_annotations(declaration.annotations),
                has_annotation(declaration, "hidden"),
            )
