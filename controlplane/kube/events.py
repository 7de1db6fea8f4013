"""Kubernetes Events about objects that are wrong: one for each object and complaint, counted up when it comes back.

Rate-limited, in all and for each object, so that neither a cluster full of mistakes nor one object that flaps floods the API server.
An event's name follows from what it says: after a restart the same complaint counts up the same event.
"""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec

from controlplane.kube.objects import RESOURCES, ObjectRef

log = logging.getLogger(__name__)

COMPONENT = "kulvert"
REASON = "NotProgrammed"
_MAX_MESSAGE = 1024

BURST, PER_SECOND = 25.0, 0.5
OBJECT_BURST, OBJECT_PER_SECOND = 5.0, 1 / 300
_REMEMBERED = 2000


class Writer(Protocol):
    """Who talks to the API server."""

    async def write(self, method: str, path: str, body: dict[str, Any]) -> int: ...

    async def uid(self, ref: ObjectRef) -> str: ...


class _Bucket:
    """Tokens that come back with time."""

    def __init__(self, burst: float, per_second: float, now: float) -> None:
        self._burst, self._per_second = burst, per_second
        self._tokens, self._at = burst, now

    def take(self, now: float) -> bool:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class _Posted(msgspec.Struct):
    count: int
    first: str


class EventRecorder:
    """Posts what `report` is told; what is over the limit is left out and counted in `dropped`."""

    def __init__(self, writer: Writer, node: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._writer = writer
        self._node = node
        self._clock = clock
        self._all = _Bucket(BURST, PER_SECOND, clock())
        self._objects: dict[ObjectRef, _Bucket] = {}
        self._posted: dict[str, _Posted] = {}
        self._waiting: deque[tuple[ObjectRef, str]] = deque()
        self._arrived = asyncio.Event()
        self.dropped = 0

    def report(self, problems: Iterable[tuple[ObjectRef, str]]) -> None:
        """Objects and what has become wrong with them. Those that are no objects of the API are left out."""
        for ref, message in problems:
            if ref.kind not in RESOURCES or not ref.name:
                continue
            now = self._clock()
            if len(self._objects) > _REMEMBERED:
                self._objects.clear()
            bucket = self._objects.setdefault(ref, _Bucket(OBJECT_BURST, OBJECT_PER_SECOND, now))
            if bucket.take(now) and self._all.take(now):
                self._waiting.append((ref, message))
                self._arrived.set()
            else:
                self.dropped += 1

    async def run(self) -> None:
        """Post until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                await self._post(*self._waiting.popleft())

    async def _post(self, ref: ObjectRef, message: str) -> None:
        digest = hashlib.blake2b(f"{ref} {message} {self._node}".encode(), digest_size=8).hexdigest()
        name = f"{ref.name[:200]}.{digest}"
        namespace = ref.namespace or "default"
        path = f"/api/v1/namespaces/{namespace}/events"
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        known = self._posted.get(name)
        if known is not None:
            known.count += 1
            status = await self._writer.write("PATCH", f"{path}/{name}", {"count": known.count, "lastTimestamp": now})
            if status != 404:  # else it has expired, as events do
                return
        if len(self._posted) > _REMEMBERED:
            self._posted.clear()
        self._posted[name] = _Posted(1, now)
        body = event_body(ref, message, self._node, name, namespace, now, await self._writer.uid(ref))
        status = await self._writer.write("POST", path, body)
        if status == 409:  # an earlier life of this controller has said so already
            status = await self._writer.write("PATCH", f"{path}/{name}", {"lastTimestamp": now})
        if status >= 400 or not status:
            log.debug("the event about %s was not taken: %s", ref, status or "no answer")


def event_body(
    ref: ObjectRef, message: str, node: str, name: str, namespace: str, now: str, uid: str
) -> dict[str, Any]:
    """An Event (v1)."""
    involved: dict[str, Any] = {"apiVersion": RESOURCES[ref.kind].api_version, "kind": ref.kind, "name": ref.name}
    if ref.namespace:
        involved["namespace"] = ref.namespace
    if uid:
        involved["uid"] = uid
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": involved,
        "type": "Warning",
        "reason": REASON,
        "message": message[:_MAX_MESSAGE],
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": {"component": COMPONENT, "host": node},
        "reportingComponent": COMPONENT,
        "reportingInstance": node,
    }
