"""A live API server as a source of Kubernetes state: list, then watch, for each kind.

Configuration and credentials (kubeconfig, in-cluster, tokens that expire, exec plugins) are kubernetes-asyncio's; the objects are
decoded from the raw JSON by msgspec, so that only the fields needed are ever made. The only module that talks to the API server.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import yaml
from kubernetes_asyncio import client, config
from kubernetes_asyncio.config.config_exception import ConfigException

from controlplane.files import why_unreadable
from controlplane.kube.decode import DecodeError, decode, identify
from controlplane.kube.objects import RESOURCES, KubeObject, ObjectRef, Resource, reference
from controlplane.kube.store import Store

log = logging.getLogger(__name__)

PAGE_SIZE = 500
WATCH_SECONDS = 300
"""The server ends a watch after this long; it is resumed from the last resource version."""

_IDLE_SECONDS = WATCH_SECONDS + 30
_LIST_SECONDS = 60.0
_CONNECT_SECONDS = 10.0
_SHORT_WATCH_SECONDS = 1.0
"""A watch that the server ends sooner is no good order: something in between does not let it through."""

_FIRST_BACKOFF, _LAST_BACKOFF = 0.5, 30.0
_MAX_RETRY_AFTER = 60.0
_PROBE_SECONDS = 60.0
"""How often it is looked whether an API that the cluster does not have has come."""

_WRITE_SECONDS = 10.0
_RELOAD_SECONDS = 5.0
"""The credentials are read anew at most this often."""


class ClusterAccessError(Exception):
    """There is no usable configuration for an API server. `str()` is for people."""


class _GoneError(Exception):
    """410: the resource version is too old to go on from; list again."""


class _AbsentError(Exception):
    """404 for a collection: the cluster does not have this API."""


class _RequestError(Exception):
    """A request that failed; it is tried again, not before `after` seconds if the server says so."""

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


class _UnauthorizedError(_RequestError):
    """401: the credentials are not, or no longer, taken."""


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _List(msgspec.Struct):
    metadata: _ListMeta
    items: list[Any] | None = None


class _Event(msgspec.Struct):
    type: str
    object: Any


class ApiServerSource:
    """Keeps a store equal to a cluster."""

    def __init__(self, store: Store, kubeconfig: Path | None, context: str | None) -> None:
        self._store = store
        self._kubeconfig = kubeconfig
        self._context = context
        self._api: client.ApiClient | None = None
        self._renewed = -_RELOAD_SECONDS
        self._renewing = asyncio.Lock()
        self._certificates: tuple[bytes | None, ...] = ()
        self._listed: set[str] = set()
        self._absent: set[str] = set()
        self._reported: dict[ObjectRef, str] = {}
        self.on_problems: Callable[[list[tuple[ObjectRef, str]]], None] = lambda problems: None
        """Told of objects that cannot be read."""

    @property
    def errors(self) -> list[str]:
        """Objects that could not be read, at present."""
        return [f"{ref}: {reason}" for ref, reason in self._reported.items()]

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the cluster until `stop`. Raises ClusterAccessError; everything later is retried."""
        configuration = await self._load_configuration()
        configuration.connection_pool_maxsize = 2 * len(RESOURCES)
        self._certificates = _certificates(configuration)
        async with client.ApiClient(configuration) as api:
            self._api = api
            tasks = [
                asyncio.create_task(self._follow(api, resource), name=kind) for kind, resource in RESOURCES.items()
            ]
            stopping: asyncio.Task[Any] = asyncio.create_task(stop.wait())
            try:
                await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    if task.done():
                        task.result()
            finally:
                self._api = None
                for task in (stopping, *tasks):
                    task.cancel()
                await asyncio.gather(stopping, *tasks, return_exceptions=True)

    async def _load_configuration(self) -> client.Configuration:
        """Where the API server is, and as whom to speak to it. Raises ClusterAccessError."""
        configuration = client.Configuration()
        try:
            if self._kubeconfig is not None:
                await config.load_kube_config(
                    str(self._kubeconfig), context=self._context, client_configuration=configuration
                )
            else:
                config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except (ConfigException, OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
            what = self._kubeconfig or "the in-cluster service account"
            raise ClusterAccessError(f"cannot use {what}: {_why_unusable(error)}") from None
        return configuration

    async def _renew_credentials(self, api: client.ApiClient) -> None:
        """Read the credentials again: token, certificates, or what an exec plugin gives may be others by now.

        Certificates belong to the connections, so with others all are made anew; the watches are resumed on the new ones.
        """
        async with self._renewing:  # one at a time: what was read first must not come last
            if time.monotonic() - self._renewed < _RELOAD_SECONDS:
                return
            try:
                await self._read_credentials(api)
            finally:
                self._renewed = time.monotonic()

    async def _read_credentials(self, api: client.ApiClient) -> None:
        try:
            fresh = await self._load_configuration()
        except ClusterAccessError as error:
            log.warning("%s", error)
            return
        certificates = _certificates(fresh)
        if certificates == self._certificates:
            api.configuration.api_key = fresh.api_key
            api.configuration.api_key_prefix = fresh.api_key_prefix
            api.configuration.refresh_api_key_hook = fresh.refresh_api_key_hook
            return
        fresh.connection_pool_maxsize = api.configuration.connection_pool_maxsize
        before, api.configuration = api.rest_client, fresh
        try:
            api.rest_client = client.ApiClient(fresh).rest_client
        except (OSError, ValueError) as error:  # a certificate or key that is none
            log.warning("the new credentials cannot be used: %s", error)
            return
        self._certificates = certificates
        await before.close()

    # -- one kind

    async def _follow(self, api: client.ApiClient, resource: Resource) -> None:
        backoff = _FIRST_BACKOFF
        version = ""
        listed_at = 0.0
        while True:
            after = 0.0
            try:
                if not version:
                    version = await self._list(api, resource)
                    listed_at = time.monotonic()
                begun = time.monotonic()
                async for seen in self._watch(api, resource, version):
                    version = seen
                    backoff = _FIRST_BACKOFF
                if time.monotonic() - begun > _SHORT_WATCH_SECONDS:
                    continue  # the server ended the watch in good order
                log.info("%s: the watch ended at once; trying again in %.1f s", resource.plural, backoff)
            except _GoneError:
                log.info("%s: too old to go on from; listing again", resource.plural)
                if version and time.monotonic() - listed_at > _LAST_BACKOFF:
                    backoff = _FIRST_BACKOFF  # a server that was away and is back: it remembers nothing of before
                version = ""
            except _AbsentError:
                version = ""
                self._note_absent(resource)
                await asyncio.sleep(_PROBE_SECONDS * random.uniform(0.8, 1.2))
                continue
            except _UnauthorizedError as error:
                self._note_unread(resource, error)
                log.warning("%s: %s; reading the credentials again", resource.plural, error)
                await self._renew_credentials(api)
            except (_RequestError, aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError) as error:
                after = error.after if isinstance(error, _RequestError) else 0.0
                self._note_unread(resource, error)
                log.warning("%s: %s; trying again in %.1f s", resource.plural, _words(error), max(backoff, after))
                if isinstance(error, aiohttp.ClientConnectionError) and any(self._certificates):
                    await self._renew_credentials(api)  # TLS 1.3 says no more of a refused certificate than the end
            await asyncio.sleep(max(after, backoff * random.uniform(0.8, 1.2)))
            backoff = min(2 * backoff, _LAST_BACKOFF)

    async def _list(self, api: client.ApiClient, resource: Resource) -> str:
        """Read all objects, page by page, and make them what the store holds; the resource version to watch from."""
        objects: list[KubeObject] = []
        unreadable: list[DecodeError] = []
        token = ""
        while True:
            query = [("limit", str(PAGE_SIZE))] + ([("continue", token)] if token else [])
            response = await self._get(api, resource, query, _LIST_SECONDS)
            async with response:
                page = msgspec.json.decode(await response.read(), type=_List)
            for value in page.items or ():
                try:
                    objects.append(decode(value, resource))
                except DecodeError as error:
                    unreadable.append(error)
            token = page.metadata.continue_
            if not token:
                break
            await asyncio.sleep(0)
        for ref in [ref for ref in self._reported if ref.kind == resource.kind]:
            del self._reported[ref]
        for failure in unreadable:
            self._report(failure.ref, failure.reason)
            kept = self._store.get(failure.ref)
            if kept is not None:  # the last version that made sense stays
                objects.append(kept)
        for obj in objects:
            self._report_malformed(obj)
        self._store.replace(resource.kind, objects)
        if resource.kind in self._absent:
            self._absent.discard(resource.kind)
            log.info("%s: the cluster has this API now", resource.plural)
        self._note_listed(resource, f"{len(objects)} listed")
        return page.metadata.resource_version

    def _note_unread(self, resource: Resource, error: BaseException) -> None:
        if resource.kind not in self._listed:
            self._store.unread[resource.kind] = f"{resource.plural}: {_words(error)}"

    def _note_listed(self, resource: Resource, what: str) -> None:
        if resource.kind not in self._listed:
            self._listed.add(resource.kind)
            self._store.unread.pop(resource.kind, None)
            log.info("%s: %s", resource.plural, what)
            if len(self._listed) == len(RESOURCES):
                self._store.mark_synced()

    def _note_absent(self, resource: Resource) -> None:
        """Without the API there are no objects of it; what there was has gone with it."""
        self._store.replace(resource.kind, ())
        for ref in [ref for ref in self._reported if ref.kind == resource.kind]:
            del self._reported[ref]
        if resource.kind in self._listed and resource.kind not in self._absent:
            log.warning("%s: the cluster does not have this API any more", resource.plural)
        self._absent.add(resource.kind)
        self._note_listed(resource, f"the cluster does not have {resource.api_version}; looked for again now and then")

    async def _watch(self, api: client.ApiClient, resource: Resource, version: str) -> AsyncIterator[str]:
        """Apply the events after `version`; yields the version that each one leads to."""
        query = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", version),
            ("timeoutSeconds", str(WATCH_SECONDS)),
        ]
        response = await self._get(api, resource, query, _IDLE_SECONDS)
        async with response:
            async for line in _lines(response):
                event = msgspec.json.decode(line, type=_Event)
                if event.type == "ERROR":
                    code = event.object.get("code") if isinstance(event.object, dict) else None
                    if code == 410:
                        raise _GoneError
                    raise _RequestError(f"the watch failed: {_status_words(event.object)}")
                if event.type != "BOOKMARK":
                    self._apply(event, resource)
                metadata = event.object.get("metadata") if isinstance(event.object, dict) else None
                version = (metadata or {}).get("resourceVersion") or version
                yield version

    def _apply(self, event: _Event, resource: Resource) -> None:
        if event.type == "DELETED":
            named = {**event.object, "kind": resource.kind} if isinstance(event.object, dict) else event.object
            ref = identify(named)
            self._reported.pop(ref, None)
            self._store.remove(ref)
            return
        try:
            obj = decode(event.object, resource)
        except DecodeError as error:
            self._report(error.ref, error.reason)
            return
        self._reported.pop(reference(obj), None)
        self._report_malformed(obj)
        self._store.put(obj)

    def _report_malformed(self, obj: KubeObject) -> None:
        """A policy that cannot be read whole is derived all the same, closed; the derivation reports it."""
        if getattr(obj, "malformed", None):
            self._reported[reference(obj)] = "is malformed"

    def _report(self, ref: ObjectRef, reason: str) -> None:
        if self._reported.get(ref) != reason:
            log.error("%s: %s; its last good version stays", ref, reason)
            self.on_problems([(ref, f"{reason}; its last good version stays")])
        self._reported[ref] = reason

    async def _get(
        self, api: client.ApiClient, resource: Resource, query: list[tuple[str, str]], idle_seconds: float
    ) -> aiohttp.ClientResponse:
        """Send a GET, with the credentials of the moment. Raises _GoneError, _RequestError."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=idle_seconds)
        response = await self._request(api, "GET", resource.path, query, {}, None, timeout)
        if response.status == 200:
            _keep_alive(response)
            return response
        body = (await response.read())[:2000]
        response.release()
        if response.status == 410:
            raise _GoneError
        if response.status == 404 and resource.is_optional:
            raise _AbsentError
        kind = _UnauthorizedError if response.status == 401 else _RequestError
        after = _retry_after(response)
        raise kind(f"the API server answers {response.status} {response.reason}: {_body_words(body)}", after)

    async def _request(
        self,
        api: client.ApiClient,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        headers: dict[str, str],
        body: bytes | None,
        timeout: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        """Send a request as the configuration says: with its credentials, through its proxy, to its server's name."""
        headers = {"Accept": "application/json", **headers}
        try:
            await api.update_params_for_auth(headers, [], ["BearerToken"])
        except Exception as error:  # a token file that is just being replaced, an exec plugin that fails
            raise _RequestError(f"the credentials cannot be had: {_words(error)}") from None
        if "authorization" in headers:
            token = headers["authorization"] = headers["authorization"].strip()  # a file's last line has an end
            if not token.isprintable():
                raise _UnauthorizedError("the token holds control characters")
        session: aiohttp.ClientSession = api.rest_client.pool_manager
        extra: dict[str, Any] = {}
        if api.rest_client.server_hostname:
            extra["server_hostname"] = api.rest_client.server_hostname
        try:
            return await session.request(
                method,
                f"{api.configuration.host}{path}",
                params=list(query),
                headers=headers,
                data=body,
                timeout=timeout,
                proxy=api.rest_client.proxy,
                proxy_headers=api.rest_client.proxy_headers,
                **extra,
            )
        except (AssertionError, RuntimeError):  # aiohttp's words for a session that is closed under a request
            if not session.closed:
                raise
            raise _RequestError("the connection was given up for one with new credentials") from None

    # -- writing Events, the only thing that is ever written

    async def write(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Send `body` with POST or, as a merge patch, PATCH; the HTTP status, 0 if there was no answer, and the object as it is now."""
        if self._api is None:
            return 0, {}
        content_type = "application/merge-patch+json" if method == "PATCH" else "application/json"
        answer = await self._send(
            self._api, method, path, (), {"Content-Type": content_type}, msgspec.json.encode(body)
        )
        if answer is None:
            return 0, {}
        status, data = answer
        try:
            value = msgspec.json.decode(data)
        except msgspec.DecodeError:
            value = None
        return status, value if isinstance(value, dict) else {}

    async def uid(self, ref: ObjectRef) -> str:
        """The object's uid, which is not held; "" if it cannot be told."""
        resource = RESOURCES.get(ref.kind)
        if self._api is None or resource is None:
            return ""
        root, _, plural = resource.path.rpartition("/")
        path = f"{root}/namespaces/{ref.namespace}/{plural}" if resource.namespaced else resource.path
        query = (("fieldSelector", f"metadata.name={ref.name}"),)
        answer = await self._send(self._api, "GET", path, query, {}, None)
        if answer is None or answer[0] != 200:
            return ""
        try:
            found = msgspec.json.decode(answer[1], type=_List)
            return str(found.items[0]["metadata"]["uid"]) if found.items else ""
        except (msgspec.DecodeError, KeyError, TypeError):
            return ""

    async def _send(
        self,
        api: client.ApiClient,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        headers: dict[str, str],
        body: bytes | None,
    ) -> tuple[int, bytes] | None:
        """HTTP status and body of an answer; None if there was none."""
        timeout = aiohttp.ClientTimeout(total=_WRITE_SECONDS)
        try:
            async with await self._request(api, method, path, query, headers, body, timeout) as response:
                return response.status, await response.read()
        except (_RequestError, aiohttp.ClientError, TimeoutError, OSError) as error:
            log.debug("%s %s: %s", method, path, _words(error))
            return None


def _certificates(configuration: client.Configuration) -> tuple[bytes | None, ...]:
    """What is in the files that TLS takes; the files themselves are others each time that a kubeconfig has them inline."""
    files = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    found: list[bytes | None] = []
    for file in files:
        try:
            found.append(Path(file).read_bytes() if file else None)
        except OSError:
            found.append(None)
    return tuple(found)


def _keep_alive(response: aiohttp.ClientResponse) -> None:
    """Have the kernel find out within a minute that the other end of a quiet watch has gone without a word."""
    transport = response.connection.transport if response.connection is not None else None
    found = transport.get_extra_info("socket") if transport is not None else None
    if found is not None and found.family in (socket.AF_INET, socket.AF_INET6):
        for level, option, value in (
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
            (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
            (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000),
        ):
            with contextlib.suppress(OSError):
                found.setsockopt(level, option, value)


def _retry_after(response: aiohttp.ClientResponse) -> float:
    """Seconds that the server asks for, with 429 and 503; at most a minute is believed."""
    text = response.headers.get("Retry-After", "")
    return min(float(text), _MAX_RETRY_AFTER) if text.isdecimal() and len(text) < 10 else 0.0


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The lines of a streamed answer, however long; an unfinished last one is dropped."""
    rest = bytearray()
    async for chunk in response.content.iter_any():
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            rest += chunk[start:end]
            if rest.strip():
                yield bytes(rest)
            rest.clear()
            start = end + 1
        rest += chunk[start:]


def _why_unusable(error: Exception) -> str:
    """Why no configuration came of a kubeconfig or a service account, in one line."""
    match error:
        case ConfigException():
            return str(error)
        case OSError() | UnicodeDecodeError():
            return why_unreadable(error)
        case yaml.MarkedYAMLError(problem_mark=yaml.Mark() as mark):
            return f"line {mark.line + 1}, column {mark.column + 1}: not YAML: {error.problem or error.context}"
        case yaml.YAMLError():
            return f"not YAML: {' '.join(str(error).split())}"
        case _:
            return f"it is no kubeconfig ({_words(error)})"


def _words(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection was broken off"
    return str(error) or type(error).__name__


def _status_words(status: Any) -> str:
    message = status.get("message") if isinstance(status, dict) else None
    return str(message or status)[:300]


def _body_words(body: bytes) -> str:
    try:
        return _status_words(msgspec.json.decode(body))
    except msgspec.DecodeError:
        return body.decode("utf-8", "replace").strip()[:300]
