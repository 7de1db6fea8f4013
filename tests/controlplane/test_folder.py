"""The manifest folder: what is read, how errors are placed, and how edits are followed."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from controlplane.kube.folder import FolderSource, read_manifest
from controlplane.kube.objects import NetworkPolicy, ObjectRef, Service
from controlplane.kube.store import Store
from tests.controlplane.cluster import pod_value, service_value

TWO = """\
# a comment
apiVersion: v1
kind: Service
metadata: {name: good, namespace: shop}
spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata:
  name: bad
  namespace: shop
spec:
  clusterIP: 10.96.0.2
  ports:
    - port: 80
    - port: eighty
"""


def ref(name: str, kind: str = "Service", namespace: str = "shop") -> ObjectRef:
    return ObjectRef(kind, namespace, name)


def load(folder: Path) -> tuple[Store, FolderSource]:
    store = Store()
    source = FolderSource(folder, store)
    source.load()
    return store, source


def test_a_bad_field_is_placed_and_the_other_documents_count(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(TWO)
    store, source = load(tmp_path)
    assert [found for found, _ in store] == [ref("good")]
    (error,) = source.errors
    assert str(error).startswith(f"{tmp_path}/a.yaml:16: Service/shop/bad: ")
    assert "`$.spec.ports[1].port`" in str(error)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: [1\n---\n", 2, "not YAML"),
        ("x: 1\n", 1, "no kind"),
        ("- 1\n", 1, "no kind"),
        ("\n\nkind: Service\nmetadata: {name: a}\n", 3, "apiVersion must be v1"),
        ("apiVersion: v1\nkind: Service\nmetadata: {}\n", 1, "no metadata.name"),
        ("apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  labels: {a: 1}\n", 5, "Expected `str`"),
        ("a: *nowhere\n", 1, "not YAML"),
        ("a: \x01\n", 1, "not YAML"),
    ],
)
def test_what_is_wrong_has_a_place(tmp_path: Path, text: str, line: int, words: str) -> None:
    good = yaml.safe_dump(service_value())
    path = tmp_path / "a.yaml"
    path.write_text(f"{text}\n---\n{good}")
    content = read_manifest(path)
    (error,) = content.errors
    assert (error.line, words in error.reason) == (line, True), str(error)
    assert [obj.metadata.name for _, obj in content.objects] == ["web"]


def test_binary_and_unreadable_files_are_errors_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(service_value()))
    store, source = load(tmp_path)
    assert len(store) == 1
    assert [error.file.name for error in source.errors] == ["a.yaml"]


def test_lists_json_and_folders(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".hidden").mkdir()
    items = [
        service_value("a"),
        pod_value("p", "10.1.0.1"),
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}},
    ]
    (tmp_path / "list.yaml").write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items}))
    bare = {key: value for key, value in service_value("b").items() if key != "kind"}
    (tmp_path / "sub" / "c.json").write_text(
        json.dumps({"apiVersion": "v1", "kind": "ServiceList", "items": [bare]}, indent=1)
        + json.dumps(service_value("c"))
    )
    (tmp_path / ".hidden" / "d.yaml").write_text(yaml.safe_dump(service_value("d")))
    (tmp_path / "notes.txt").write_text("not a manifest")
    store, source = load(tmp_path)
    assert not source.errors
    assert {found.name for found, _ in store} == {"a", "b", "c", "p"}


def test_the_last_good_version_stays_while_the_file_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump(service_value()))
    store, source = load(tmp_path)
    good = store.get(ref("web"))
    for broken in (yaml.safe_dump(service_value(ports=[{"port": "x"}])), "kind: [\n"):
        path.write_text(broken)
        source.load()
        assert source.errors and store.get(ref("web")) is good
    path.write_text(yaml.safe_dump(service_value(ports=[{"port": 81}])))
    source.load()
    assert not source.errors and store.get(ref("web")) is not good
    path.unlink()
    source.load()
    assert len(store) == 0


def test_a_malformed_policy_is_kept_closed_and_reported(tmp_path: Path) -> None:
    text = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec:\n  podSelector: {matchLabels: {a: b}}\n  ingress: 7\n"
    (tmp_path / "a.yaml").write_text(text)
    store, source = load(tmp_path)
    policy = store.get(ref("p", "NetworkPolicy", "default"))
    assert isinstance(policy, NetworkPolicy) and policy.malformed and policy.spec.ingress is None
    assert policy.spec.pod_selector is not None and policy.spec.pod_selector.match_labels == {"a": "b"}
    assert "fails closed" in str(source.errors[0])


def test_one_object_in_two_files_is_reported_and_the_first_file_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(service_value(ips=["10.96.0.1"])))
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(service_value(ips=["10.96.0.2"])))
    with caplog.at_level(logging.ERROR):
        store, _ = load(tmp_path)
    found = store.get(ref("web"))
    assert isinstance(found, Service) and found.spec.cluster_ips == ("10.96.0.1",)
    assert "Service/shop/web" in caplog.text and "a.yaml" in caplog.text


def test_only_what_differs_is_a_change(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(service_value(name)))
    store, source = load(tmp_path)
    changes = store.follow()
    changes.take()
    (tmp_path / "a.yaml").write_text("# touched\n" + yaml.safe_dump(service_value("a")))
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(service_value("b", ["10.96.0.9"])))
    source.load()
    assert changes.take() == [ref("b")]


def test_edits_new_and_removed_files_are_followed(tmp_path: Path) -> None:
    async def until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "it did not come about in a minute"
            await asyncio.sleep(0.01)

    async def test() -> None:
        path = tmp_path / "a.yaml"
        path.write_text(yaml.safe_dump(service_value()))
        store = Store()
        stop = asyncio.Event()
        task = asyncio.create_task(FolderSource(tmp_path, store).run(stop))
        await store.wait_synced()
        changes = store.follow()
        changes.take()
        await asyncio.sleep(0.2)
        path.write_text(yaml.safe_dump(service_value(ips=["10.96.0.7"])))
        await until(lambda: ref("web") in changes.take())
        (tmp_path / "b.yaml").write_text(yaml.safe_dump(service_value("b")))
        await until(lambda: store.get(ref("b")) is not None)
        path.unlink()
        await until(lambda: store.get(ref("web")) is None)
        tmp_path.rename(tmp_path.with_name("away"))  # a folder that is not there says nothing
        await asyncio.sleep(1.2)
        assert store.get(ref("b")) is not None
        tmp_path.with_name("away").rename(tmp_path)
        (tmp_path / "b.yaml").unlink()
        await until(lambda: store.get(ref("b")) is None)
        stop.set()
        await asyncio.wait_for(task, 60)

    asyncio.run(test())
