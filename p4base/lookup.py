"""Look-up of P4Info objects by name, alias or id.

P4Info names an object three ways: by numeric id, by fully qualified name, and by alias (the shortest unique
suffix of the name; P4Runtime specification, "Preamble message"). Every look-up here accepts name or alias.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from p4base.messages import p4i


class _HasPreamble(Protocol):
    @property
    def preamble(self) -> p4i.Preamble: ...


T = TypeVar("T", bound=_HasPreamble)


class UnknownNameError(KeyError):
    """No object of that kind has that name, alias or id."""

    def __init__(self, kind: str, key: str | int) -> None:
        super().__init__(f"no {kind} {key!r} in the P4Info")
        self.kind = kind
        self.key = key

    def __str__(self) -> str:
        return str(self.args[0])


class Objects(Generic[T]):
    """The objects of one kind in a P4Info, by id, name and alias."""

    def __init__(self, kind: str, items: Iterable[T]) -> None:
        self.kind = kind
        self.by_id: dict[int, T] = {}
        self._by_name: dict[str, T] = {}
        for item in items:
            self.by_id[item.preamble.id] = item
            if item.preamble.alias:
                self._by_name.setdefault(item.preamble.alias, item)
        for item in self.by_id.values():  # a full name always wins over another object's alias
            self._by_name[item.preamble.name] = item

    def __getitem__(self, key: str | int) -> T:
        found = self.get(key)
        if found is None:
            raise UnknownNameError(self.kind, key)
        return found

    def get(self, key: str | int) -> T | None:
        """The object with that id, name or alias, or None."""
        return self.by_id.get(key) if isinstance(key, int) else self._by_name.get(key)

    def __iter__(self) -> Iterator[T]:
        return iter(self.by_id.values())

    def __len__(self) -> int:
        return len(self.by_id)


class P4InfoIndex:
    """A P4Info with an index for each kind of object."""

    def __init__(self, p4info: p4i.P4Info) -> None:
        self.p4info = p4info
        self.tables = Objects("table", p4info.tables)
        self.actions = Objects("action", p4info.actions)
        self.action_profiles = Objects("action profile", p4info.action_profiles)
        self.counters = Objects("counter", p4info.counters)
        self.direct_counters = Objects("direct counter", p4info.direct_counters)
        self.meters = Objects("meter", p4info.meters)
        self.direct_meters = Objects("direct meter", p4info.direct_meters)
        self.registers = Objects("register", p4info.registers)
        self.digests = Objects("digest", p4info.digests)
        self.value_sets = Objects("value set", p4info.value_sets)
        self.controller_headers = Objects("controller header", p4info.controller_packet_metadata)
