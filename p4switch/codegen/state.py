"""Which programs several packet threads may run at once: those whose state no two packets can change into something else than they would
one after the other.

Table look-ups, counters, digests and the replication engine are safe by themselves. Registers are what programs compute with: an array
that a program only reads, or only writes in cells that a processor stores at once, is safe; one that it reads and writes is
not, since a packet between the two would be lost. Meters and round-robin selectors are state of this kind too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from p4switch.bmv2 import model
from p4switch.codegen.algorithms import hashes_with_state

_ATOMIC_BITS = 64


def is_parallel(program: model.Program) -> bool:
    """Whether packets may be processed by several threads."""
    turns = any("ROUND_ROBIN" in item.kind for item in hashes_with_state(program))
    if program.meters or turns:
        return False
    reads, writes = _accesses(program) if program.registers else (set(), set())
    return all(name not in reads and program.registers[name].width <= _ATOMIC_BITS for name in writes)


def _accesses(program: model.Program) -> tuple[set[str], set[str]]:
    """The registers that the program reads, and those it writes."""
    reads, writes = set(), set()
    code = (
        program.actions,
        program.ingress.nodes,
        program.egress.nodes,
        program.parser,
        program.deparser_calls,
        program.calculations,
        program.checksums,
        program.profiles,
    )
    for item in _walk(code):
        if isinstance(item, model.RegisterRef):
            reads.add(item.register)
        elif isinstance(item, model.Primitive):
            names = {arg.name for arg in item.args if isinstance(arg, model.ObjectRef) and arg.kind == "register_array"}
            # An operation that is not known here counts as both.
            if item.op != "register_write":
                reads |= names
            if item.op != "register_read":
                writes |= names
    return reads, writes


def _walk(item: object) -> Iterator[object]:
    """`item` and all that it consists of, but for containers and plain values."""
    stack = [item]
    while stack:
        at = stack.pop()
        if isinstance(at, tuple | list):
            stack.extend(at)
        elif isinstance(at, dict):
            stack.extend(at.values())
        elif names := _field_names(type(at)):
            yield at
            stack.extend([getattr(at, name) for name in names])


_FIELDS: dict[type, tuple[str, ...]] = {model.SourceInfo: ()}
"""The fields of each part of the model that was met; places in the source hold no code."""


def _field_names(kind: type) -> tuple[str, ...]:
    names = _FIELDS.get(kind)
    if names is None:
        is_part = dataclasses.is_dataclass(kind)
        names = _FIELDS[kind] = tuple(field.name for field in dataclasses.fields(kind)) if is_part else ()
    return names
