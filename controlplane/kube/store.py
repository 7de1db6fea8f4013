"""What is known of the cluster, and what has changed of it since somebody last looked.

Written by a source's watch handlers, which do nothing else; read by whoever derives. All on one event loop, so there are
no locks: a reader sees the state between two events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from controlplane.kube.objects import KubeObject, ObjectRef, reference


class Changes:
    """The references whose objects have changed since the last `take`, in the order of their first change."""

    def __init__(self) -> None:
        self._refs: dict[ObjectRef, None] = {}
        self._arrived = asyncio.Event()

    def note(self, ref: ObjectRef) -> None:
        self._refs[ref] = None
        self._arrived.set()

    def take(self) -> list[ObjectRef]:
        """All of them; they count as seen. The objects are looked up in the store, where a removed one is missing."""
        taken = list(self._refs)
        self._refs.clear()
        self._arrived.clear()
        return taken

    def __len__(self) -> int:
        return len(self._refs)

    async def wait(self) -> None:
        """Return once there is something to take."""
        await self._arrived.wait()


class Store:
    """The current objects by reference."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[ObjectRef, KubeObject]] = {}
        self._followers: list[Changes] = []
        self._synced = asyncio.Event()
        self.unread: dict[str, str] = {}
        """By kind, why its objects cannot be read; for sources to say, until they have been read once."""

    # -- reading

    def get(self, ref: ObjectRef) -> KubeObject | None:
        return self._objects.get(ref.kind, {}).get(ref)

    def __len__(self) -> int:
        return sum(len(objects) for objects in self._objects.values())

    def __iter__(self) -> Iterator[tuple[ObjectRef, KubeObject]]:
        for objects in self._objects.values():
            yield from objects.items()

    def counts(self) -> Iterator[tuple[str, int]]:
        """How many objects of each kind there are."""
        for kind, objects in self._objects.items():
            yield kind, len(objects)

    def follow(self) -> Changes:
        """Changes from here on; everything already held counts as changed."""
        changes = Changes()
        for ref, _ in self:
            changes.note(ref)
        self._followers.append(changes)
        return changes

    async def wait_synced(self) -> None:
        """Return once a source has delivered its first complete picture. Acting earlier would delete what is merely not read yet."""
        await self._synced.wait()

    @property
    def synced(self) -> bool:
        return self._synced.is_set()

    # -- writing, for sources

    def put(self, obj: KubeObject) -> None:
        """Add or replace; an equal object is no change."""
        ref = reference(obj)
        objects = self._objects.setdefault(ref.kind, {})
        if objects.get(ref) != obj:
            objects[ref] = obj
            self._note(ref)

    def remove(self, ref: ObjectRef) -> None:
        if self._objects.get(ref.kind, {}).pop(ref, None) is not None:
            self._note(ref)

    def replace(self, kind: str, objects: Iterable[KubeObject]) -> None:
        """Make `objects` all there is of that kind. Only what differs counts as changed, so a relist does not flap."""
        missing = set(self._objects.get(kind, {}))
        for obj in objects:
            missing.discard(reference(obj))
            self.put(obj)
        for ref in missing:
            self.remove(ref)

    def mark_synced(self) -> None:
        self._synced.set()

    def _note(self, ref: ObjectRef) -> None:
        for changes in self._followers:
            changes.note(ref)
