"""The live source against a small API server: list by pages, watch, bookmarks, 410 Gone, dropped watches, bad objects."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from controlplane.kube import apiserver
from controlplane.kube.apiserver import ApiServerSource, ClusterAccessError
from controlplane.kube.events import EventRecorder
from controlplane.kube.objects import RESOURCES, ObjectRef, Service
from controlplane.kube.store import Store
from tests.controlplane.cluster import cluster_policy_value, pod_value, service_value
from tests.p4switch.test_tls import OPENSSL, Identity, make_identity

PATIENCE_S = 60.0


class FakeApiServer:
    """Objects, a log of events with resource versions, and watches that can be cut."""

    def __init__(self) -> None:
        self.version = 10
        self.objects: dict[str, dict[str, dict[str, Any]]] = {}
        self.events: list[tuple[int, str, dict[str, Any]]] = []
        self.oldest = 0
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.failures = 0
        self.throttled = 0
        self.expired_tokens = 0  # continue tokens that will have expired
        self.empty_watches = 0
        self.encodings: set[str] = set()
        self.token = "first"
        self.absent: set[str] = set()
        self._snapshots: list[tuple[int, list[dict[str, Any]]]] = []
        self.written: list[tuple[str, str, dict[str, Any]]] = []
        self.reported: dict[str, dict[str, Any]] = {}
        self.broken_answers = 0
        self.uid = "u-1"
        self._changed = asyncio.Event()
        self._cut = 0
        self.url = ""

    def put(self, value: dict[str, Any]) -> None:
        self.version += 1
        metadata = value["metadata"]
        value = {**value, "metadata": {**metadata, "resourceVersion": str(self.version)}}
        held = self.objects.setdefault(value["kind"], {})
        name = f"{metadata.get('namespace', '')}/{metadata['name']}"
        self._emit("MODIFIED" if name in held else "ADDED", value)
        held[name] = value

    def delete(self, kind: str, name: str) -> None:
        self.version += 1
        self._emit("DELETED", self.objects[kind].pop(name))

    def forget(self) -> None:
        """Compact the log: older versions are Gone."""
        self.events.clear()
        self.oldest = self.version

    def cut(self) -> None:
        """Break off every watch."""
        self._cut += 1
        self._wake()

    def _emit(self, kind: str, value: dict[str, Any]) -> None:
        self.events.append((self.version, kind, value))
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        cut = self._cut  # of the moment in which the credentials are looked at
        self.requests.append((request.path, dict(request.query)))
        self.encodings |= set(request.headers.get("Accept-Encoding", "").replace(" ", "").split(","))
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"message": "Unauthorized"}, status=401)
        if self.failures:
            self.failures -= 1
            return web.json_response({"message": "etcd is slow"}, status=500)
        if self.throttled:
            self.throttled -= 1
            return web.json_response({"message": "too many requests"}, status=429, headers={"Retry-After": "1"})
        if request.query.get("fieldSelector"):
            return web.json_response({"metadata": {}, "items": [{"metadata": {"uid": self.uid}}]})
        resource = next(item for item in RESOURCES.values() if item.path == request.path)
        if resource.kind in self.absent:
            return web.json_response({"message": "the server could not find the requested resource"}, status=404)
        if "watch" in request.query:
            return await self._watch(request, resource.kind, cut)
        number, _, start_text = request.query.get("continue", "").partition("/")
        if number and self.expired_tokens:
            self.expired_tokens -= 1
            gone = {
                "kind": "Status",
                "reason": "Expired",
                "code": 410,
                "message": "the provided continue parameter is too old",
            }
            return web.json_response(gone, status=410)
        if number:  # every page is of the state that the first one was of
            version, items = self._snapshots[int(number)]
        else:
            number = str(len(self._snapshots))
            held = self.objects.get(resource.kind, {})
            version, items = self.version, [held[name] for name in sorted(held)]
            self._snapshots.append((version, items))
        start, limit = int(start_text or 0), min(int(request.query["limit"]), 2)
        page = [
            {key: part for key, part in item.items() if key not in ("kind", "apiVersion")}
            for item in items[start : start + limit]
        ]
        metadata = {"resourceVersion": str(version)}
        if start + limit < len(items):
            metadata["continue"] = f"{number}/{start + limit}"
        response = web.json_response({"kind": f"{resource.kind}List", "metadata": metadata, "items": page})
        response.enable_compression()  # if the client takes it, as the API server does for large answers
        return response

    async def take(self, request: web.Request) -> web.StreamResponse:
        """An Event that is posted or counted up."""
        body = await request.json()
        self.written.append((request.method, request.path, body))
        if self.broken_answers:
            self.broken_answers -= 1
            broken = web.StreamResponse(status=201, headers={"Content-Length": "1000"})
            await broken.prepare(request)
            await broken.write(b"{")
            assert request.transport is not None
            request.transport.close()
            return broken
        name = body["metadata"]["name"] if request.method == "POST" else request.path.rpartition("/")[2]
        if (request.method == "POST") == (name in self.reported):
            return web.json_response({}, status=409 if request.method == "POST" else 404)
        self.reported[name] = self.reported.get(name, {}) | body
        return web.json_response(self.reported[name], status=201 if request.method == "POST" else 200)

    async def _watch(self, request: web.Request, kind: str, cut: int) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        if self.empty_watches:
            self.empty_watches -= 1
            return response
        seen = int(request.query["resourceVersion"])
        while cut == self._cut:
            if seen < self.oldest:
                gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}
                await response.write(json.dumps(gone).encode() + b"\n")
                break
            waiting = self._changed
            for version, event, value in list(self.events):
                if version > seen:
                    seen = version
                    if value["kind"] == kind:
                        text = json.dumps({"type": event, "object": value}).encode() + b"\n"
                        await response.write(text[:20])
                        await response.write(text[20:])
            bookmark = {"type": "BOOKMARK", "object": {"kind": kind, "metadata": {"resourceVersion": str(seen)}}}
            await response.write(json.dumps(bookmark).encode() + b"\n")
            await waiting.wait()
        return response


@asynccontextmanager
async def api_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[FakeApiServer]:
    server = FakeApiServer()
    app = web.Application()
    app.router.add_get("/{path:.*}", server.handle)
    app.router.add_post("/{path:.*}", server.take)
    app.router.add_patch("/{path:.*}", server.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    server.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        server.cut()
        await runner.cleanup()


def kubeconfig(folder: Path, url: str, token: str = "first") -> Path:
    path = folder / "kubeconfig"
    value = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": token}}],
    }
    path.write_text(yaml.safe_dump(value))
    return path


@asynccontextmanager
async def following(server: FakeApiServer, folder: Path) -> AsyncIterator[tuple[Store, ApiServerSource]]:
    store = Store()
    source = ApiServerSource(store, kubeconfig(folder, server.url), None)
    stop = asyncio.Event()
    task = asyncio.create_task(source.run(stop))
    try:
        yield store, source
    finally:
        stop.set()
        await task


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"it did not come about in {PATIENCE_S} s"
        await asyncio.sleep(0.01)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 5 * PATIENCE_S))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apiserver, "_FIRST_BACKOFF", 0.02)
    monkeypatch.setattr(apiserver, "_LAST_BACKOFF", 0.05)


def test_pages_are_listed_and_events_followed(tmp_path: Path) -> None:
    async def test() -> None:
        async with api_server() as server:
            for number in range(5):
                server.put(service_value(f"s{number}"))
            async with following(server, tmp_path) as (store, _):
                await asyncio.wait_for(store.wait_synced(), PATIENCE_S)
                assert len(store) == 5
                server.put(service_value("s5"))
                server.put(service_value("s0", ["10.96.0.99"]))
                server.delete("Service", "shop/s1")
                await until(lambda: len(store) == 5 and store.get(ObjectRef("Service", "shop", "s5")) is not None)
                changed = store.get(ObjectRef("Service", "shop", "s0"))
                assert isinstance(changed, Service) and changed.spec.cluster_ips == ("10.96.0.99",)
            pages = [query for path, query in server.requests if path.endswith("/services") and "watch" not in query]
            assert [(query.get("continue") or "/").partition("/")[2] for query in pages] == ["", "2", "4"]

    run(test())


def test_nothing_is_synced_before_every_kind_is_listed(tmp_path: Path) -> None:
    async def test() -> None:
        async with api_server() as server:
            server.failures = 4
            async with following(server, tmp_path) as (store, _):
                await asyncio.wait_for(store.wait_synced(), PATIENCE_S)
                listed = {path for path, query in server.requests if "watch" not in query}
                assert listed == {resource.path for resource in RESOURCES.values()}

    run(test())


def test_a_cut_watch_goes_on_where_it_was(tmp_path: Path) -> None:
    async def test() -> None:
        async with api_server() as server:
            server.put(service_value("a"))
            async with following(server, tmp_path) as (store, _):
                await store.wait_synced()
                server.cut()
                server.put(service_value("b"))
                await until(lambda: len(store) == 2)
                lists = [path for path, query in server.requests if path.endswith("/services") and "watch" not in query]
                assert len(lists) == 1

    run(test())


def test_410_relists_without_flapping(tmp_path: Path) -> None:
    async def test() -> None:
        async with api_server() as server:
            for name in ("a", "b"):
                server.put(service_value(name))
            async with following(server, tmp_path) as (store, _):
                await store.wait_synced()
                await asyncio.sleep(0.05)
                changes = store.follow()
                changes.take()
                server.put(pod_value("p", "10.1.0.1"))
                await until(lambda: len(changes) == 1)
                changes.take()
                # Events are missed while the log is compacted; the watches' versions are too old.
                server.delete("Service", "shop/a")
                server.events.clear()
                server.put(service_value("c"))
                server.forget()
                server.cut()
                await until(lambda: store.get(ObjectRef("Service", "shop", "c")) is not None)
                await until(lambda: store.get(ObjectRef("Service", "shop", "a")) is None)
                assert {ref.name for ref in changes.take()} == {"a", "c"}

    run(test())


def test_a_server_that_was_long_away_is_listed_as_soon_as_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restarted API server remembers no older version: the wait that has grown while it was away is not waited once more."""
    monkeypatch.setattr(apiserver, "_LAST_BACKOFF", 0.4)
    sleep = asyncio.sleep
    slept: list[float] = []

    async def noted(seconds: float) -> None:
        task = asyncio.current_task()
        if task is not None and task.get_name() == "Service" and seconds:
            slept.append(seconds)
        await sleep(seconds)

    async def test() -> None:
        async with api_server() as server:
            server.put(service_value("a"))
            async with following(server, tmp_path) as (store, _):
                await asyncio.wait_for(store.wait_synced(), PATIENCE_S)
                monkeypatch.setattr(asyncio, "sleep", noted)
                server.failures = 1 << 30
                server.cut()
                await until(lambda: bool(slept) and max(slept) > 0.3)
                server.put(service_value("b"))
                server.forget()
                server.failures = 0
                await until(lambda: len(store) == 2)
                assert slept[-1] < 0.1 < slept[-2]

    run(test())


def test_a_bad_object_is_reported_and_its_last_good_version_stays(tmp_path: Path) -> None:
    async def test() -> None:
        async with api_server() as server:
            server.put(service_value("a"))
            async with following(server, tmp_path) as (store, source):
                await store.wait_synced()
                server.put(service_value("a", ports=[{"port": "eighty"}]))
                server.put(service_value("b"))
                await until(lambda: len(store) == 2)
                assert len(source.errors) == 1 and "Service/shop/a" in source.errors[0] and "port" in source.errors[0]
                kept = store.get(ObjectRef("Service", "shop", "a"))
                assert isinstance(kept, Service) and kept.spec.ports and kept.spec.ports[0].port == 80
                server.put(service_value("a", ["10.96.0.5"]))
                await until(lambda: not source.errors)

    run(test())


def test_an_expired_token_is_tried_again(tmp_path: Path) -> None:
    async def test() -> None:
        async with api_server() as server:
            server.token = "second"
            async with following(server, tmp_path) as (store, _):
                await asyncio.sleep(0.2)
                assert not store.synced
                server.token = "first"
                await asyncio.wait_for(store.wait_synced(), PATIENCE_S)

    run(test())


def test_credentials_that_are_replaced_on_disk_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apiserver, "_RELOAD_SECONDS", 0.01)

    async def test() -> None:
        async with api_server() as server, following(server, tmp_path) as (store, _):
            await asyncio.wait_for(store.wait_synced(), PATIENCE_S)
            server.token = "second"
            server.put(service_value("later"))
            server.cut()
            await asyncio.sleep(0.1)
            assert len(store) == 0, "the old token is not taken any more"
            kubeconfig(tmp_path, server.url, "second")
            await until(lambda: len(store) == 1)

    run(test())


def test_an_api_that_the_cluster_does_not_have_is_no_obstacle_and_is_found_when_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apiserver, "_PROBE_SECONDS", 0.05)

    async def test() -> None:
        async with api_server() as server:
            server.absent = {"ClusterNetworkPolicy", "ServiceCIDR"}
            async with following(server, tmp_path) as (store, source):
                await asyncio.wait_for(store.wait_synced(), PATIENCE_S)
                server.put(cluster_policy_value("guard"))
                server.absent.clear()
                ref = ObjectRef("ClusterNetworkPolicy", "", "guard")
                await until(lambda: store.get(ref) is not None)
                server.absent = {"ClusterNetworkPolicy"}
                server.cut()
                await until(lambda: store.get(ref) is None)
                assert not source.errors

    run(test())


def test_a_kind_that_every_cluster_has_is_waited_for(tmp_path: Path) -> None:
    async def test() -> None:
        async with api_server() as server:
            server.absent = {"Pod"}
            async with following(server, tmp_path) as (store, _):
                await asyncio.sleep(0.2)
                assert not store.synced, "without its pods the switch would be emptied"
                server.absent.clear()
                await asyncio.wait_for(store.wait_synced(), PATIENCE_S)

    run(test())


def test_events_are_posted_about_what_is_wrong_and_counted_up(tmp_path: Path) -> None:
    async def test() -> None:
        async with api_server() as server, following(server, tmp_path) as (store, source):
            await store.wait_synced()
            recorder = EventRecorder(source, "node-a")
            task = asyncio.create_task(recorder.run())
            ref = ObjectRef("Service", "shop", "web")
            recorder.report([(ref, "does not fit"), (ObjectRef("Configuration", "", "controller"), "x")])
            await until(lambda: len(server.written) == 1)
            method, path, body = server.written[0]
            assert (method, path) == ("POST", "/api/v1/namespaces/shop/events")
            assert body["involvedObject"] == {
                "apiVersion": "v1", "kind": "Service", "name": "web", "namespace": "shop", "uid": "u-1"
            }  # fmt: skip
            assert (body["type"], body["reason"], body["message"]) == ("Warning", "NotProgrammed", "does not fit")
            recorder.report([(ref, "does not fit")])
            await until(lambda: len(server.written) == 2)
            assert server.written[1][0] == "PATCH" and server.written[1][2]["count"] == 2
            later = EventRecorder(source, "node-a")  # another life says the same: the same event
            again = asyncio.create_task(later.run())
            later.report([(ref, "does not fit")])
            await until(lambda: len(server.written) == 5)
            assert [item[0] for item in server.written[2:]] == ["POST", "PATCH", "PATCH"]
            assert [item["count"] for item in server.reported.values()] == [3]
            server.uid = "u-2"  # deleted and made anew
            later.report([(ref, "does not fit")])
            await until(lambda: len(server.reported) == 2)
            assert server.written[-1][2]["involvedObject"]["uid"] == "u-2" and server.written[-1][2]["count"] == 1
            later.report([(ObjectRef("ClusterNetworkPolicy", "", f"{'guard.' * 33}a.b"), "odd")])
            await until(lambda: len(server.reported) == 3)
            method, path, body = server.written[-1]
            assert (method, path) == ("POST", "/api/v1/namespaces/default/events")
            assert ".." not in body["metadata"]["name"]
            for item in (task, again):
                item.cancel()

    run(test())


def test_an_answer_to_an_event_that_breaks_off_ends_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        async with api_server() as server, following(server, tmp_path) as (store, source):
            await store.wait_synced()
            server.broken_answers = 2
            recorder = EventRecorder(source, "node-a")
            task = asyncio.create_task(recorder.run())
            recorder.report([(ObjectRef("Service", "shop", "web"), f"complaint {number}") for number in range(3)])
            await until(lambda: len(server.written) == 3)
            assert not task.done() and not server.broken_answers
            task.cancel()

    run(test())


def test_events_are_limited_for_each_object_and_in_all() -> None:
    class Silent:
        async def write(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
            return 201, {}

        async def uid(self, ref: ObjectRef) -> str:
            return ""

    now = 0.0
    recorder = EventRecorder(Silent(), "node-a", lambda: now)
    flapping = ObjectRef("Service", "shop", "flapping")
    recorder.report([(flapping, f"complaint {number}") for number in range(100)])
    assert recorder.dropped == 95
    recorder.report([(ObjectRef("Pod", "shop", f"p{number}"), "odd") for number in range(100)])
    assert recorder.dropped == 95 + 80
    now = 3600.0
    recorder.report([(flapping, "later")])
    assert recorder.dropped == 95 + 80


def test_a_kubeconfig_that_makes_no_sense_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text("nothing: here\n")
    with pytest.raises(ClusterAccessError, match=r"cannot use .*kubeconfig"):
        run(ApiServerSource(Store(), path, None).run(asyncio.Event()))


def test_what_a_busy_server_says_is_heeded(tmp_path: Path) -> None:
    """429 with Retry-After: every request that was turned away is tried again, no earlier."""

    async def test() -> None:
        async with api_server() as server:
            server.throttled = len(RESOURCES)
            begun = asyncio.get_running_loop().time()
            async with following(server, tmp_path) as (store, _):
                await asyncio.wait_for(store.wait_synced(), PATIENCE_S)
            assert asyncio.get_running_loop().time() - begun >= 1

    run(test())


def test_a_list_whose_continue_token_has_expired_begins_anew(tmp_path: Path) -> None:
    async def test() -> None:
        async with api_server() as server:
            for number in range(5):
                server.put(service_value(f"s{number}"))
            server.expired_tokens = 2
            async with following(server, tmp_path) as (store, _):
                await asyncio.wait_for(store.wait_synced(), PATIENCE_S)
                assert len(store) == 5
            pages = [query for path, query in server.requests if path.endswith("/services") and "watch" not in query]
            assert [bool(query.get("continue")) for query in pages] == [False, True, False, True, False, True, True]

    run(test())


def test_watches_that_end_at_once_are_not_asked_for_in_a_hurry(tmp_path: Path) -> None:
    async def test() -> None:
        async with api_server() as server:
            server.empty_watches = 1000
            async with following(server, tmp_path) as (store, _):
                await asyncio.wait_for(store.wait_synced(), PATIENCE_S)
                before = len(server.requests)
                await asyncio.sleep(0.5)
                assert len(server.requests) - before < 25 * len(RESOURCES)
                server.empty_watches = 0
                server.put(service_value("later"))
                await until(lambda: len(store) == 1)

    run(test())


def test_answers_may_be_compressed(tmp_path: Path) -> None:
    async def test() -> None:
        async with api_server() as server:
            for number in range(50):
                server.put(service_value(f"s{number}"))
            async with following(server, tmp_path) as (store, _):
                await asyncio.wait_for(store.wait_synced(), PATIENCE_S)
                assert len(store) == 50
            assert "gzip" in server.encodings

    run(test())


PLUGIN = """\
import json, pathlib
token = pathlib.Path({path!r}).read_text()
assert token != "broken"
print(json.dumps({{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {{"token": token}}}}))
"""


def test_an_exec_plugin_gives_the_token_and_one_that_fails_for_a_while_is_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apiserver, "_RELOAD_SECONDS", 0.01)
    token, plugin = tmp_path / "token", tmp_path / "plugin.py"
    plugin.write_text(PLUGIN.format(path=str(token)))
    token.write_text("first")

    async def test() -> None:
        async with api_server() as server:
            path = kubeconfig(tmp_path, server.url)
            value = yaml.safe_load(path.read_text())
            command = {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": sys.executable,
                "args": [str(plugin)],
            }
            value["users"][0]["user"] = {"exec": {**command, "interactiveMode": "Never"}}
            path.write_text(yaml.safe_dump(value))
            store = Store()
            source = ApiServerSource(store, path, None)
            stop = asyncio.Event()
            task = asyncio.create_task(source.run(stop))
            await asyncio.wait_for(store.wait_synced(), PATIENCE_S)
            server.token = "second"
            token.write_text("broken")
            server.put(service_value("later"))
            server.cut()
            await asyncio.sleep(0.5)
            assert not task.done() and len(store) == 0
            token.write_text("second")
            await until(lambda: len(store) == 1)
            stop.set()
            await task

    run(test())


def test_credentials_that_cannot_be_had_for_a_moment_are_tried_again(tmp_path: Path) -> None:
    """A projected token is replaced by switching a link: its file may be missing just when it is read."""

    async def test() -> None:
        async with api_server() as server, following(server, tmp_path) as (store, source):
            await asyncio.wait_for(store.wait_synced(), PATIENCE_S)
            api = source._api
            assert api is not None

            def missing(configuration: Any) -> None:
                raise FileNotFoundError("token")

            api.configuration.refresh_api_key_hook = missing
            server.put(service_value("later"))
            server.cut()
            await asyncio.sleep(0.1)
            assert await source.write("POST", "/api/v1/namespaces/shop/events", {}) == (0, {})
            api.configuration.refresh_api_key_hook = None
            await until(lambda: len(store) == 1)

    run(test())


def test_a_token_is_taken_from_a_file_with_line_ends_and_one_that_is_none_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apiserver, "_RELOAD_SECONDS", 0.01)

    async def test() -> None:
        async with api_server() as server:
            path = kubeconfig(tmp_path, server.url)
            value = yaml.safe_load(path.read_text())
            value["users"][0]["user"] = {"tokenFile": "token"}
            path.write_text(yaml.safe_dump(value))
            (tmp_path / "token").write_text("fi\nrst\n")
            store = Store()
            stop = asyncio.Event()
            task = asyncio.create_task(ApiServerSource(store, path, None).run(stop))
            await asyncio.sleep(0.2)
            assert not store.synced and not task.done()
            (tmp_path / "token").write_text("first\n")
            await asyncio.wait_for(store.wait_synced(), PATIENCE_S)
            stop.set()
            await task

    run(test())


def test_a_quiet_watch_is_kept_alive_by_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that has gone without a word is noticed in a minute, although nothing is ever sent on a watch."""
    seen: list[int] = []
    keep_alive = apiserver._keep_alive

    def noted(response: Any) -> None:
        keep_alive(response)
        found = response.connection.transport.get_extra_info("socket") if response.connection else None
        if found is not None:
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            idle, interval, count = (found.getsockopt(socket.IPPROTO_TCP, option) for option in options)
            assert found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            seen.append(idle + interval * count)

    monkeypatch.setattr(apiserver, "_keep_alive", noted)

    async def test() -> None:
        async with api_server() as server, following(server, tmp_path) as (store, _):
            await asyncio.wait_for(store.wait_synced(), PATIENCE_S)
            await until(lambda: len(seen) >= len(RESOURCES))
            assert max(seen) <= 60

    run(test())


@pytest.mark.skipif(OPENSSL is None, reason="openssl, which makes the certificates, is not installed")
def test_client_certificates_are_shown_and_new_ones_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apiserver, "_RELOAD_SECONDS", 0.01)
    authority = make_identity(tmp_path, "authority")
    other = make_identity(tmp_path, "other-authority")
    server_identity = make_identity(tmp_path, "server", authority)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.certificate))
    context.load_cert_chain(server_identity.certificate, server_identity.key)
    context.verify_mode = ssl.CERT_REQUIRED

    def write(client: Identity) -> Path:
        path = kubeconfig(tmp_path, url)
        value = yaml.safe_load(path.read_text())
        cluster, user = value["clusters"][0]["cluster"], value["users"][0]["user"]
        for into, key, file in (
            (cluster, "certificate-authority-data", authority.certificate),
            (user, "client-certificate-data", client.certificate),
            (user, "client-key-data", client.key),
        ):
            into[key] = base64.b64encode(file.read_bytes()).decode()
        path.write_text(yaml.safe_dump(value))
        return path

    url = ""

    async def test() -> None:
        nonlocal url
        async with api_server(context) as server:
            url = server.url
            server.put(service_value("a"))
            store = Store()
            source = ApiServerSource(store, write(make_identity(tmp_path, "stranger", other)), None)
            stop = asyncio.Event()
            task = asyncio.create_task(source.run(stop))
            await asyncio.sleep(0.5)
            assert not store.synced and not task.done()
            write(make_identity(tmp_path, "client", authority))
            await asyncio.wait_for(store.wait_synced(), PATIENCE_S)
            assert len(store) == 1
            stop.set()
            await task

    run(test())
