"""What the commands need of a BMv2 JSON: names, widths and kinds.

Read leniently and without the loader's checks: the switch has made them, and the client must start at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from p4switch.cli.errors import CommandError


class _Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=_Named)


@dataclass(frozen=True, slots=True)
class KeyField:
    name: str
    match: str  # exact, lpm, ternary, valid, range
    width: int


@dataclass(frozen=True, slots=True)
class Action:
    name: str
    params: tuple[tuple[str, int], ...]

    def describe(self) -> str:
        params = ",\t".join(f"{name}({width})" for name, width in self.params)
        return f"{self.name:30} [{params}]"


@dataclass(frozen=True, slots=True)
class Profile:
    name: str
    selector: bool
    actions: dict[str, Action] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    match: str
    kind: str  # simple, indirect, indirect_ws
    support_timeout: bool
    key: tuple[KeyField, ...]
    actions: dict[str, Action]
    profile: Profile | None

    @property
    def prioritised(self) -> bool:
        return self.match in ("ternary", "range")

    def describe(self) -> str:
        key = ",\t".join(f"{item.name}({item.match}, {item.width})" for item in self.key)
        return f"{self.name:30} [implementation={self.profile.name if self.profile else None}, mk={key}]"


@dataclass(frozen=True, slots=True)
class Array:
    """A counter, meter or register array. `table`: the table of a direct one."""

    name: str
    size: int
    table: str | None = None
    rates: int = 0


@dataclass(frozen=True, slots=True)
class ValueSet:
    name: str
    width: int


class Names(Generic[T]):
    """Objects of one kind, found by their full name or by an end of it ("ipv4_lpm" for "ingress.ipv4_lpm") that is unique."""

    def __init__(self, kind: str, items: Iterable[T]) -> None:
        self._kind = kind
        self.all: dict[str, T] = {item.name: item for item in items}
        self._by_suffix: dict[str, list[T]] = {}
        for name, item in self.all.items():
            parts = name.split(".")
            for first in range(len(parts)):
                self._by_suffix.setdefault(".".join(parts[first:]), []).append(item)

    def find(self, name: str) -> T | None:
        if name in self.all:
            return self.all[name]
        found = self._by_suffix.get(name, [])
        return found[0] if len(found) == 1 else None

    def get(self, name: str) -> T:
        """
        Raises:
            CommandError: there is none, or there are several.
        """
        found = self.find(name)
        if found is None:
            raise CommandError(f"Invalid {self._kind} name ({name})")
        return found

    def complete(self, text: str) -> list[str]:
        return sorted(name for name in self.all if name.startswith(text))


@dataclass(frozen=True, slots=True)
class Program:
    tables: Names[Table]
    profiles: Names[Profile]
    actions: Names[Action]
    counters: Names[Array]
    meters: Names[Array]
    registers: Names[Array]
    value_sets: Names[ValueSet]
    custom_crcs: dict[str, int]  # calculation: width

    def action_of(self, owner: Table | Profile, name: str) -> Action | None:
        if name in owner.actions:
            return owner.actions[name]
        action = self.actions.find(name)
        return action if action is not None and action.name in owner.actions else None


def read_program(text: str) -> Program:
    """
    Raises:
        CommandError: not a BMv2 JSON.
    """
    try:
        return _read(json.loads(text))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise CommandError(f"the configuration is not a BMv2 JSON: {error!r}") from None


def _read(raw: Mapping[str, Any]) -> Program:
    actions = {
        item["name"]: Action(item["name"], tuple((param["name"], param["bitwidth"]) for param in item["runtime_data"]))
        for item in raw.get("actions", [])
    }
    types = {item["name"]: {entry[0]: entry[1] for entry in item["fields"]} for item in raw.get("header_types", [])}
    headers = {item["name"]: types.get(item["header_type"], {}) for item in raw.get("headers", [])}
    profiles: dict[str, Profile] = {}
    tables: list[Table] = []
    for pipeline in raw.get("pipelines", []):
        for item in pipeline.get("action_profiles", []):
            profiles[item["name"]] = Profile(item["name"], "selector" in item)
        for item in pipeline.get("tables", []):
            tables.append(_table(item, headers, actions, profiles))
    return Program(
        tables=Names("table", tables),
        profiles=Names("action profile", profiles.values()),
        actions=Names("action", actions.values()),
        counters=Names("counter", _arrays(raw.get("counter_arrays", []))),
        meters=Names("meter", _arrays(raw.get("meter_arrays", []))),
        registers=Names("register", _arrays(raw.get("register_arrays", []))),
        value_sets=Names(
            "parser value set",
            [ValueSet(item["name"], item["compressed_bitwidth"]) for item in raw.get("parse_vsets", [])],
        ),
        custom_crcs={
            item["name"]: {"crc16_custom": 16, "crc32_custom": 32}[item["algo"]]
            for item in raw.get("calculations", [])
            if item["algo"] in ("crc16_custom", "crc32_custom")
        },
    )


def _arrays(items: Iterable[Mapping[str, Any]]) -> list[Array]:
    return [
        Array(
            item["name"],
            item.get("size") or 0,
            item.get("binding") if item.get("is_direct") else None,
            item.get("rate_count", 0),
        )
        for item in items
    ]


def _table(
    item: Mapping[str, Any],
    headers: Mapping[str, Mapping[str, Any]],
    actions: Mapping[str, Action],
    profiles: dict[str, Profile],
) -> Table:
    own = {name: actions[name] for name in item["actions"]}
    profile = None
    if item["type"] != "simple":
        name = item.get("action_profile") or item["act_prof_name"]
        profile = profiles.setdefault(name, Profile(name, "selector" in item))
        profile.actions.update(own)
    key: list[KeyField] = []
    for entry in item["key"]:
        target, match = entry["target"], entry["match_type"]
        if match == "valid":
            key.append(KeyField(f"{target}_valid", match, 1))
        elif target[1] == "$valid$":
            key.append(KeyField(f"{target[0]}_valid", match, 1))
        else:
            key.append(KeyField(".".join(target), match, headers[target[0]][target[1]]))
    return Table(
        item["name"],
        item["match_type"],
        item["type"],
        bool(item.get("support_timeout")),
        tuple(key),
        own,
        profile,
    )
