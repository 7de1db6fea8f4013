"""Who wants what in the switch: the union of all rules' outputs, and how it has changed.

Two owners may want the same entry. If they want it differently, the higher precedence wins, and among equals the owner that sorts
first; the others' wish is a conflict, which is reported for as long as it lasts.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from controlplane.desired.entities import Entity, EntityKey, describe
from controlplane.desired.inputs import Output, Problem
from controlplane.kube.objects import ObjectRef

Owner = tuple[str, str]
"""A rule's name and its key, as text: only for telling owners apart and putting them in order."""


class Claim(msgspec.Struct, frozen=True, gc=False):
    """One owner's wish. `source` is the object to name to people."""

    entity: Entity
    precedence: int
    owner: Owner
    source: ObjectRef


class Change(msgspec.Struct, frozen=True, gc=False):
    """What became of one entry: before and after; None for absent."""

    old: Entity | None
    new: Entity | None


class Ledger:
    """The entities in force by key."""

    def __init__(self) -> None:
        self._claims: dict[EntityKey, Claim | tuple[Claim, ...]] = {}
        self._before: dict[EntityKey, Entity | None] = {}
        self._problems: dict[Owner, tuple[Problem, ...]] = {}
        self._conflicts: dict[EntityKey, tuple[Problem, ...]] = {}
        self._all_problems: frozenset[Problem] | None = frozenset()

    def update(self, owner: Owner, old: Output | None, new: Output | None) -> None:
        """Replace what one owner wants. An entity that is the same object before and after costs nothing."""
        before = set(map(id, old.entities)) if old is not None else set()
        after = set(map(id, new.entities)) if new is not None else set()
        same = old is not None and new is not None and (old.source, old.precedence) == (new.source, new.precedence)
        if old is not None:
            for entity in old.entities:
                if not same or id(entity) not in after:
                    self._withdraw(entity.key, owner)
        if new is not None:
            for number, entity in enumerate(new.entities):
                if not same or id(entity) not in before:
                    source = new.origins[number] if new.origins else new.source
                    self._claim(entity.key, Claim(entity, new.precedence, owner, source))
        if new is not None and new.problems:
            self._problems[owner] = new.problems
            self._all_problems = None
        elif self._problems.pop(owner, None) is not None:
            self._all_problems = None

    def get(self, key: EntityKey) -> Entity | None:
        """The entity in force."""
        claim = self._winner(key)
        return None if claim is None else claim.entity

    def source(self, key: EntityKey) -> ObjectRef | None:
        """The object that made the entity in force."""
        claim = self._winner(key)
        return None if claim is None else claim.source

    def __iter__(self) -> Iterator[Entity]:
        for claims in self._claims.values():
            yield claims.entity if isinstance(claims, Claim) else claims[0].entity

    def __len__(self) -> int:
        return len(self._claims)

    def take_changes(self) -> list[Change]:
        """What has changed since the last call, one change a key; what changed back is no change."""
        before, self._before = self._before, {}
        return [Change(old, new) for key, old in before.items() if (new := self.get(key)) != old]

    @property
    def problems(self) -> frozenset[Problem]:
        """Everything that is wrong at present; the same set as long as nothing has changed."""
        if self._all_problems is None:
            self._all_problems = frozenset(
                problem for problems in (*self._problems.values(), *self._conflicts.values()) for problem in problems
            )
        return self._all_problems

    # -- claims

    def _winner(self, key: EntityKey) -> Claim | None:
        claims = self._claims.get(key)
        return claims[0] if isinstance(claims, tuple) else claims

    def _all(self, key: EntityKey) -> tuple[Claim, ...]:
        claims = self._claims.get(key)
        if claims is None:
            return ()
        return claims if isinstance(claims, tuple) else (claims,)

    def _claim(self, key: EntityKey, claim: Claim) -> None:
        if key not in self._claims:  # nearly always; kept cheap
            self._note(key, None)
            self._claims[key] = claim
            return
        self._put(key, [*(other for other in self._all(key) if other.owner != claim.owner), claim])

    def _withdraw(self, key: EntityKey, owner: Owner) -> None:
        claims = self._claims.get(key)
        if isinstance(claims, Claim):
            if claims.owner == owner:
                self._note(key, claims.entity)
                del self._claims[key]
            return
        self._put(key, [claim for claim in self._all(key) if claim.owner != owner])

    def _put(self, key: EntityKey, claims: list[Claim]) -> None:
        winner = self._winner(key)
        self._note(key, None if winner is None else winner.entity)
        claims.sort(key=lambda claim: (-claim.precedence, claim.owner))
        if claims:
            self._claims[key] = claims[0] if len(claims) == 1 else tuple(claims)
        else:
            self._claims.pop(key, None)
        conflicts = tuple(
            Problem(claim.source, f"wants an entry that {claims[0].source} has already: {describe(claim.entity)}")
            for claim in claims[1:]
            if claim.entity != claims[0].entity and claim.precedence == claims[0].precedence
        )
        if conflicts:
            self._conflicts[key] = conflicts
            self._all_problems = None
        elif self._conflicts.pop(key, None) is not None:
            self._all_problems = None

    def _note(self, key: EntityKey, old: Entity | None) -> None:
        """Remember what was in force before the first change."""
        self._before.setdefault(key, old)
