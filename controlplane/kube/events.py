"""Kubernetes Events about objects that are wrong: one for each object and complaint, counted up when it comes back.

Rate-limited, in all and for each object, so that neither a cluster full of mistakes nor one object that flaps floods the API server.
An event's name follows from what it says of which object: after a restart the same complaint counts up the same event.
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

    async def write(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]: ...

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


class EventRecorder:
    """Posts what `report` is told; what is over the limit is left out and counted in `dropped`."""

    def __init__(self, writer: Writer, node: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._writer = writer
        self._node = node
        self._clock = clock
        self._all = _Bucket(BURST, PER_SECOND, clock())
        self._objects: dict[ObjectRef, _Bucket] = {}
        self._counts: dict[str, int] = {}
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
        uid = await self._writer.uid(
            ref
        )  # part of the name: an object made anew under an old name has events of its own
        digest = hashlib.blake2b(f"{ref} {uid} {message} {self._node}".encode(), digest_size=8).hexdigest()
        name = f"{ref.name[:200].rstrip('.-')}.{digest}"
        namespace = ref.namespace or "default"
        path = f"/api/v1/namespaces/{namespace}/events"
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if len(self._counts) > _REMEMBERED:
            self._counts.clear()
        count = self._counts.get(name)
        if count is not None:
            status = await self._count(f"{path}/{name}", name, count + 1, now)
            if status != 404:  # else it has expired, as events do
                return
        body = event_body(ref, message, self._node, name, namespace, now, uid)
        status, _ = await self._writer.write("POST", path, body)
        if status == 409:  # an earlier life of this controller has said so already; how often, the event knows
            status, event = await self._writer.write("PATCH", f"{path}/{name}", {"lastTimestamp": now})
            count = event.get("count")
            if status < 300 and isinstance(count, int):
                status = await self._count(f"{path}/{name}", name, count + 1, now)
        elif status and status < 300:
            self._counts[name] = 1
        if status >= 400 or not status:
            log.debug("the event about %s was not taken: %s", ref, status or "no answer")

    async def _count(self, path: str, name: str, count: int, now: str) -> int:
        """Have an event that is there say that it has come `count` times; the HTTP status."""
        status, _ = await self._writer.write("PATCH", path, {"count": count, "lastTimestamp": now})
        self._counts[name] = count
        return status


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
