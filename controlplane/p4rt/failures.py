"""What is wanted and is not in the switch, and what should have left it and has not.

A switch that is full may lack tens of thousands of entries, and the next change must cost no more for it: so who lacks room
in which table is kept by table, and the list of problems is made anew only when it has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from controlplane.desired.entities import Entity, EntityKey
from controlplane.desired.inputs import CONFIGURATION, Problem
from controlplane.kube.objects import ObjectRef
from controlplane.p4rt.codec import WireEntity


class _Failure(msgspec.Struct, frozen=True, gc=False):
    reason: str
    container: int | None


class Failures:
    """By key. `source` names the object that wants an entity, `describe` what cannot be deleted."""

    def __init__(self, source: Callable[[EntityKey], ObjectRef | None], describe: Callable[[WireEntity], str]) -> None:
        self._source = source
        self._describe = describe
        self._failed: dict[EntityKey, _Failure] = {}
        self._crowded: dict[int, dict[EntityKey, None]] = {}
        self._stale: dict[bytes, WireEntity] = {}
        self._problems: frozenset[Problem] | None = frozenset()

    def __len__(self) -> int:
        return len(self._failed) + len(self._stale)

    @property
    def problems(self) -> frozenset[Problem]:
        """All of them, by the object concerned; the same set as long as nothing has changed."""
        if self._problems is None:
            found = {Problem(self._source(key) or CONFIGURATION, item.reason) for key, item in self._failed.items()}
            found |= {Problem(CONFIGURATION, self._describe(wire)) for wire in self._stale.values()}
            self._problems = frozenset(found)
        return self._problems

    def clear(self) -> None:
        self._failed.clear()
        self._crowded.clear()
        self._stale.clear()
        self._problems = None

    # -- wanted, and not there

    def add(self, entity: Entity, reason: str, container: int | None = None) -> None:
        """It could not be written; if it is only for want of room, `container` says where."""
        key, failure = entity.key, _Failure(reason, container)
        if self._failed.get(key) == failure:
            return
        self.discard(key)
        self._failed[key] = failure
        self._problems = None
        if container is not None:
            self._crowded.setdefault(container, {})[key] = None

    def discard(self, key: EntityKey) -> None:
        """It is there now, or not wanted any more."""
        failure = self._failed.pop(key, None)
        if failure is None:
            return
        self._problems = None
        if failure.container is not None:
            crowded = self._crowded[failure.container]
            del crowded[key]
            if not crowded:
                del self._crowded[failure.container]

    def keys(self) -> list[EntityKey]:
        """Everything that could not be written but for want of room."""
        return [key for key, failure in self._failed.items() if failure.container is None]

    def crowded(self) -> Iterator[tuple[int, int]]:
        """Containers without room, and how many entities want in."""
        return ((container, len(keys)) for container, keys in list(self._crowded.items()))

    def first_crowded(self, container: int, count: int) -> list[EntityKey]:
        """The first that want into a container."""
        return [key for key, _ in zip(self._crowded.get(container, {}), range(count), strict=False)]

    # -- there, and not wanted

    @property
    def stale(self) -> list[WireEntity]:
        """What could not be deleted."""
        return list(self._stale.values())

    def add_stale(self, wire: WireEntity) -> None:
        self._stale[wire.key] = wire
        self._problems = None

    def discard_stale(self, key: bytes) -> None:
        """It is gone, or about to be written again."""
        if self._stale.pop(key, None) is not None:
            self._problems = None
