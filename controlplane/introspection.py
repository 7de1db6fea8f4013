"""What a running controller tells the `kulvert` commands, over a Unix socket that only its own user may open.

`GET /v1/status`: how it is. `GET /v1/entities`: everything wanted, a JSON object a line. `POST /v1/explain`: for entities read
from the switch, which object made each, in names. `GET /v1/resolve`: the addresses of a pod, Service or node.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec
from google.protobuf.message import DecodeError

from controlplane.addresses import AddressError, format_address, parse_address
from controlplane.desired.entities import ActionCall, Entity, TableEntry, describe
from controlplane.desired.policy_set import POLICY_SET
from controlplane.desired.symbols import PolicyId
from controlplane.httpd import JSON, HttpServer, Request, Response
from controlplane.kube.objects import Node, ObjectRef, Pod, Service
from controlplane.kube.store import Store
from controlplane.p4rt.codec import PipelineMismatchError
from controlplane.reconcile import Reconciler
from p4base.messages import p4r

_SLICE = 200


class Table(msgspec.Struct, frozen=True):
    """A table or action profile that holds something."""

    name: str
    entries: int
    capacity: int


class Trouble(msgspec.Struct, frozen=True):
    """An object that is not, or not wholly, programmed, and why."""

    object: str
    reason: str


class Sync(msgspec.Struct, frozen=True):
    """The last synchronization that wrote or compared everything. `at`: seconds since 1970."""

    kind: str
    at: float
    seconds: float
    inserted: int
    modified: int
    deleted: int
    refused: int


class Status(msgspec.Struct, frozen=True):
    """Everything that `kulvert status` shows.

    Attributes:
        reason: why it is not ready, "" if it is.
        pending: objects that have changed and were not looked at yet.
        wanted: entities that the objects ask for.
        installed: entities that the switch holds, as far as is known.
        source_errors: objects or manifests that could not be read.
        started: seconds since 1970.
    """

    node: str
    switch: str
    device_id: int
    is_primary: bool
    is_ready: bool
    reason: str
    source: str
    is_source_synced: bool
    source_errors: tuple[str, ...]
    objects: dict[str, int]
    pending: int
    wanted: int
    installed: int
    tables: tuple[Table, ...]
    troubles: tuple[Trouble, ...]
    last_sync: Sync | None
    started: float


class Explained(msgspec.Struct, frozen=True):
    """What is known of an entity.

    Attributes:
        object: kind/namespace/name of the object that wants it; "" if nobody does.
        text: the entity in names.
        policies: of a pod's entry, the policies in force for the pod in its direction.
    """

    object: str
    text: str
    policies: tuple[str, ...] = ()


class Wanted(msgspec.Struct, frozen=True):
    """An entity that should be in the switch; `entity` is a p4.v1.Entity in base64."""

    entity: str
    object: str
    text: str


class NamedPort(msgspec.Struct, frozen=True):
    name: str
    port: int
    protocol: str


class Resolved(msgspec.Struct, frozen=True):
    """A pod's, Service's or node's addresses, as people write them."""

    object: str
    addresses: tuple[str, ...]
    ports: tuple[NamedPort, ...] = ()


class Introspection:
    """The server. `identity` is (node, switch, device id, source) for the status; `source_errors` as the source has them."""

    def __init__(
        self,
        reconciler: Reconciler,
        store: Store,
        identity: tuple[str, str, int, str],
        source_errors: Callable[[], Sequence[object]],
    ) -> None:
        self._reconciler = reconciler
        self._store = store
        self._identity = identity
        self._source_errors = source_errors
        self._started = time.time()
        self._server = HttpServer(self._answer, posts=True)

    async def start(self, path: Path) -> None:
        """Listen. Raises OSError."""
        await self._server.start_unix(path)

    async def close(self) -> None:
        await self._server.close()

    async def _answer(self, request: Request) -> Response:
        match request.method, request.path:
            case "GET", "/v1/status":
                return Response(200, msgspec.json.encode(self.status()), JSON)
            case "GET", "/v1/entities":
                return Response(200, self._entities(), "application/x-ndjson")
            case "GET", "/v1/resolve":
                ref = ObjectRef(*(request.query.get(name, "") for name in ("kind", "namespace", "name")))
                resolved = self.resolve(ref)
                if resolved is None:
                    return Response(404, f"there is no {ref}\n".encode())
                return Response(200, msgspec.json.encode(resolved), JSON)
            case "POST", "/v1/explain":
                try:
                    wanted = msgspec.json.decode(request.body, type=list[str])
                    return Response(200, msgspec.json.encode([self.explain(item) for item in wanted]), JSON)
                except (msgspec.DecodeError, msgspec.ValidationError, binascii.Error, DecodeError) as error:
                    return Response(400, f"{error}\n".encode())
        return Response(404, b"not found\n")

    # -- answers

    def status(self) -> Status:
        """The state of this moment."""
        reconciler = self._reconciler
        node, switch, device_id, source = self._identity
        objects: dict[str, int] = {kind: count for kind, count in self._store.counts() if count}
        last = reconciler.last_sync
        return Status(
            node=node,
            switch=switch,
            device_id=device_id,
            is_primary=reconciler.is_primary,
            is_ready=not reconciler.not_ready(),
            reason=reconciler.not_ready(),
            source=source,
            is_source_synced=self._store.synced,
            source_errors=tuple(map(str, self._source_errors())),
            objects=objects,
            pending=reconciler.pending,
            wanted=len(reconciler.derivation.ledger),
            installed=reconciler.synchronizer.installed,
            tables=tuple(Table(*item) for item in reconciler.synchronizer.occupancy()),
            troubles=tuple(Trouble(str(item.ref), item.message) for item in sorted(reconciler.problems)),
            last_sync=None
            if last is None
            else Sync(
                last.kind,
                last.at,
                last.seconds,
                last.written.inserted,
                last.written.modified,
                last.written.deleted,
                last.written.refused,
            ),
            started=self._started,
        )

    def explain(self, encoded: str) -> Explained:
        """Which object wants an entity that was read from the switch, and what its numbers stand for."""
        codec = self._reconciler.synchronizer.codec
        try:
            entity = codec.name_numbers(codec.decode(p4r.Entity.FromString(base64.b64decode(encoded, validate=True))))
        except PipelineMismatchError as error:
            return Explained("", str(error))
        source = self._reconciler.derivation.ledger.source(entity.key)
        return Explained("" if source is None else str(source), describe(entity), self._policies(entity))

    def _policies(self, entity: Entity) -> tuple[str, ...]:
        """The policies that a pod's entry refers to by number."""
        call = entity.action if isinstance(entity, TableEntry) else None
        if not isinstance(call, ActionCall):
            return ()
        wanted = {param.value for param in call.params if isinstance(param.value, PolicyId)}
        if not wanted:
            return ()
        sets = (found for _, found in self._reconciler.derivation.engine.values(POLICY_SET))
        origins = {origin for found in sets if found is not None and found.id in wanted for origin in found.origins}
        return tuple(map(str, sorted(origins)))

    async def _entities(self) -> AsyncIterator[bytes]:
        """Everything wanted, a line each. The ledger may change meanwhile: what comes then is not told of."""
        codec, ledger = self._reconciler.synchronizer.codec, self._reconciler.derivation.ledger
        entities = list(ledger)
        for start in range(0, len(entities), _SLICE):
            lines = bytearray()
            for entity in entities[start : start + _SLICE]:
                wire = codec.peek(entity)
                if wire is not None:
                    text = base64.b64encode(wire.body).decode()
                    source = ledger.source(entity.key)
                    lines += msgspec.json.encode(Wanted(text, "" if source is None else str(source), describe(entity)))
                    lines += b"\n"
            yield bytes(lines)
            await asyncio.sleep(0)

    def resolve(self, ref: ObjectRef) -> Resolved | None:
        """The addresses of an object; None if it is not known."""
        obj = self._store.get(ref)
        match obj:
            case Pod():
                texts = [item.ip for item in obj.status.pod_ips or ()] or [obj.status.pod_ip or ""]
                named = tuple(
                    NamedPort(port.name or "", port.container_port, port.protocol or "TCP")
                    for container in obj.spec.containers or ()
                    for port in container.ports or ()
                )
                return Resolved(str(ref), _addresses(texts), named)
            case Service():
                texts = list(obj.spec.cluster_ips or ()) or [obj.spec.cluster_ip or ""]
                ports = tuple(
                    NamedPort(port.name or "", port.port, port.protocol or "TCP") for port in obj.spec.ports or ()
                )
                return Resolved(str(ref), _addresses(texts), ports)
            case Node():
                return Resolved(str(ref), _addresses([item.address for item in obj.status.addresses or ()]))
        return None


def _addresses(texts: Sequence[str]) -> tuple[str, ...]:
    found = []
    for text in texts:
        try:
            found.append(format_address(parse_address(text)))
        except AddressError:
            continue  # a host name, "None", or what the derivation has reported already
    return tuple(dict.fromkeys(found))
