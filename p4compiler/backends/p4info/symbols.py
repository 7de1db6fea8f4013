"""Ids and aliases of the control plane's objects (P4Runtime specification, "ID Allocation for P4Info Objects").

An id is a prefix byte for the kind of object and 24 bits hashed from its name, taking the next free one where two hashes meet;
an alias is the shortest suffix of the name, at a dot, that no other object's name ends in.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from p4compiler.diagnostics import Diagnostics, Kind
from p4compiler.ir.annotations import find_annotation
from p4compiler.ir.objects import ControlPlaneObject
from p4compiler.source import Span


class Prefix(Enum):
    ACTION = 0x01
    TABLE = 0x02
    VALUE_SET = 0x03
    CONTROLLER_HEADER = 0x04
    ACTION_PROFILE = 0x11
    COUNTER = 0x12
    DIRECT_COUNTER = 0x13
    METER = 0x14
    DIRECT_METER = 0x15
    REGISTER = 0x16
    DIGEST = 0x17


NAME_BITS = 0xFFFFFF


def hash_name(name: str) -> int:
    """Jenkins' one-at-a-time hash of the UTF-8 name, 32 bits."""
    value = 0
    for byte in name.encode():
        value = (value + byte) & 0xFFFFFFFF
        value = (value + (value << 10)) & 0xFFFFFFFF
        value ^= value >> 6
    value = (value + (value << 3)) & 0xFFFFFFFF
    value ^= value >> 11
    return (value + (value << 15)) & 0xFFFFFFFF


class Symbols:
    """The ids and aliases of all objects, by kind and name."""

    def __init__(self, diagnostics: Diagnostics) -> None:
        self._diagnostics = diagnostics
        self._ids: dict[Prefix, dict[str, int]] = {prefix: {} for prefix in Prefix}
        self._waiting: dict[Prefix, set[str]] = {prefix: set() for prefix in Prefix}
        self._taken: set[int] = set()
        self._endings: dict[str, int] = {}
        self._names: set[str] = set()

    def add(self, prefix: Prefix, objects: Iterable[ControlPlaneObject]) -> None:
        """Objects of one kind; several of one name are one symbol, the first of which counts."""
        for each in objects:
            if each.name in self._ids[prefix] or each.name in self._waiting[prefix]:
                continue
            chosen = self._chosen_id(prefix, each)
            if chosen is None:
                self._waiting[prefix].add(each.name)
            else:
                self._ids[prefix][each.name] = chosen
            self._add_endings(each.name)

    def _chosen_id(self, prefix: Prefix, each: ControlPlaneObject) -> int | None:
        """What `@id` says, with the prefix put in where it is missing."""
        annotation = find_annotation(each.annotations, "id")
        if annotation is None or not annotation.arguments:
            return None
        number = annotation.arguments[0]
        if isinstance(number, str) or not 0 <= number < 1 << 32:
            self._refuse("@id must be an unsigned integer of 32 bits", annotation.span)
            return None
        if number >> 24 not in (0, prefix.value):
            self._refuse(f"@id must start with the byte 0x{prefix.value:02x} of its kind", annotation.span)
            return None
        number |= prefix.value << 24
        if number in self._taken:
            self._refuse(f"@id {number} is given to several objects", annotation.span)
            return None
        self._taken.add(number)
        return number

    def _refuse(self, message: str, span: Span) -> None:
        self._diagnostics.error(Kind.INVALID, message, span)

    def _add_endings(self, name: str) -> None:
        if name in self._names:
            return
        self._names.add(name)
        parts = name.split(".")
        for start in range(len(parts)):
            ending = ".".join(parts[start:])
            self._endings[ending] = self._endings.get(ending, 0) + 1

    def allocate(self) -> None:
        """Give ids to all that have none. Sorted by name, so that the order of the program does not matter."""
        for prefix, names in self._waiting.items():
            for name in sorted(names):
                value = hash_name(name)
                while (candidate := prefix.value << 24 | (value & NAME_BITS)) in self._taken:
                    value += 1
                self._taken.add(candidate)
                self._ids[prefix][name] = candidate
            names.clear()

    def id_of(self, prefix: Prefix, name: str) -> int:
        return self._ids[prefix][name]

    def alias_of(self, name: str) -> str:
        parts = name.split(".")
        for start in range(len(parts) - 1, 0, -1):
            ending = ".".join(parts[start:])
            if self._endings[ending] < 2:
                return ending
        return name
