"""A folder of manifests as a source of Kubernetes state, read at the start and followed from then on.

Every file ending in .yaml, .yml or .json, in subfolders too, hidden ones excepted. A file may hold several documents and
Lists. What a file says is applied as a whole when it changes; a document that cannot be read is reported with its place, and the last
good version of the object it stood for stays.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import watchfiles

from controlplane.files import why_unreadable
from controlplane.kube.decode import DecodeError, decode, identify
from controlplane.kube.documents import Document, parse_json, parse_yaml
from controlplane.kube.objects import RESOURCES, KubeObject, ObjectRef, reference
from controlplane.kube.store import Store

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0

SUFFIXES = (".yaml", ".yml", ".json")


class ManifestError(msgspec.Struct, frozen=True):
    """Something in a manifest that was not applied. `str()` is `file:line: kind/namespace/name: what is wrong`."""

    file: Path
    line: int
    ref: ObjectRef | None
    reason: str

    def __str__(self) -> str:
        subject = f"{self.ref}: " if self.ref is not None else ""
        return f"{self.file}:{self.line}: {subject}{self.reason}"


class FileContent(msgspec.Struct, frozen=True):
    """What one file holds: objects in order, and what could not be read."""

    objects: tuple[tuple[int, KubeObject], ...]
    errors: tuple[ManifestError, ...]


def read_manifest(file: Path) -> FileContent:
    """Parse one file; objects of kinds that the controller does not need are left out."""
    objects: list[tuple[int, KubeObject]] = []
    errors: list[ManifestError] = []
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return FileContent((), (ManifestError(file, 1, None, f"cannot be read: {why_unreadable(error)}"),))
    parse = parse_json if file.suffix == ".json" else parse_yaml
    for document in parse(text):
        if document.error is not None:
            errors.append(ManifestError(file, document.line, None, document.error))
            continue
        for item in _flatten(document):
            found = _read_object(file, item)
            if isinstance(found, ManifestError):
                errors.append(found)
            elif found is not None:
                objects.append((item.line, found))
                reason = getattr(found, "malformed", None)
                if reason is not None:
                    errors.append(ManifestError(file, item.line, reference(found), f"{reason}; fails closed"))
    return FileContent(tuple(objects), tuple(errors))


def _flatten(document: Document) -> Iterator[Document]:
    value = document.value
    kind = value.get("kind") if isinstance(value, dict) else None
    if isinstance(kind, str) and kind.endswith("List") and isinstance(value.get("items"), list):
        for item in document.items():
            if kind != "List" and isinstance(item.value, dict):  # a ServiceList's items need not repeat their kind
                item.value.setdefault("kind", kind.removesuffix("List"))
                item.value.setdefault("apiVersion", value.get("apiVersion"))
            yield from _flatten(item)
    else:
        yield document


def _read_object(file: Path, document: Document) -> KubeObject | ManifestError | None:
    value = document.value
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        return ManifestError(file, document.line, None, "not a Kubernetes object: it has no kind")
    resource = RESOURCES.get(value["kind"])
    if resource is None:
        return None
    if value.get("apiVersion") != resource.api_version:
        reason = f"apiVersion must be {resource.api_version}, not {value.get('apiVersion')!r}"
        return ManifestError(file, document.line, identify(value), reason)
    try:
        return decode(value, resource)
    except DecodeError as error:
        path = re.search(r"`(\$[^`]*)`", error.reason)
        line = document.line_of(path.group(1)) if path else document.line
        return ManifestError(file, line, error.ref, error.reason)


class FolderSource:
    """Keeps a store equal to a folder.

    An object described twice is taken from the file that sorts first; the other is reported.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder = folder
        self._store = store
        self._files: dict[Path, FileContent] = {}
        self._held: dict[Path, dict[ObjectRef, KubeObject]] = {}  # by file, last good versions included
        self._reported: set[str] = set()

    @property
    def errors(self) -> list[ManifestError]:
        """What is wrong in the folder at present."""
        return [error for _, content in sorted(self._files.items()) for error in content.errors]

    def load(self) -> None:
        """Read the whole folder into the store. Raises FileNotFoundError, which leaves the store as it is."""
        if not self._folder.is_dir():
            raise FileNotFoundError("it is not there")
        present = set(self._list())
        for file in present:
            self._read(file)
        for file in set(self._files) - present:
            self._drop(file)
        self._publish()
        self._store.mark_synced()

    async def run(self, stop: asyncio.Event) -> None:
        """Load, then follow the folder's changes until `stop`."""
        while not stop.is_set():
            try:
                await self._follow(stop)
            except (OSError, RuntimeError) as error:  # the folder has gone, or the system is out of watches
                log.error("%s cannot be watched: %s; trying again", self._folder, error)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _follow(self, stop: asyncio.Event) -> None:
        watcher = watchfiles.awatch(
            self._folder,
            stop_event=stop,
            debounce=200,
            step=20,
            rust_timeout=1000,
            yield_on_timeout=True,
            recursive=True,
        )
        # The watch is set up before the first look, so that nothing falls in between.
        pending = asyncio.ensure_future(anext(watcher, None))
        try:
            await asyncio.sleep(0)
            self.load()
            while True:
                changes = await pending
                if changes is None or stop.is_set():
                    return
                if not self._folder.is_dir():
                    raise FileNotFoundError("it is not there any more")
                if changes:
                    self._apply({Path(name) for _, name in changes})
                pending = asyncio.ensure_future(anext(watcher, None))
        finally:
            pending.cancel()

    def _apply(self, paths: set[Path]) -> None:
        if any(path.suffix not in SUFFIXES for path in paths):
            self.load()  # a folder came, went or was renamed, or a symbolic link was switched
            return
        for path in paths:
            if self._is_manifest(path):
                self._read(path)
            else:
                self._drop(path)
        self._publish()

    def _list(self) -> Iterator[Path]:
        return (path for path in self._folder.rglob("*") if self._is_manifest(path))

    def _is_manifest(self, path: Path) -> bool:
        try:
            inner = path.relative_to(self._folder)
        except ValueError:
            inner = path
        return path.suffix in SUFFIXES and not any(part.startswith(".") for part in inner.parts) and path.is_file()

    def _read(self, file: Path) -> None:
        content = read_manifest(file)
        self._files[file] = content
        objects = {reference(obj): obj for _, obj in content.objects}
        before = self._held.get(file, {})
        unreadable = {error.ref for error in content.errors if error.ref is not None}
        # A document too broken to say what it stood for may be any of those that are missing now.
        nameless = any(error.ref is None or error.ref.name == "?" for error in content.errors)
        for ref, obj in before.items():
            if ref not in objects and (nameless or ref in unreadable):
                objects[ref] = obj
        self._held[file] = objects

    def _drop(self, file: Path) -> None:
        self._files.pop(file, None)
        self._held.pop(file, None)

    def _publish(self) -> None:
        chosen: dict[ObjectRef, KubeObject] = {}
        messages = {str(error): None for error in self.errors}
        owners: dict[ObjectRef, Path] = {}
        for file in sorted(self._held):
            for ref, obj in self._held[file].items():
                if ref in owners:
                    messages[f"{file}: {ref}: described in {owners[ref]} already; this one is ignored"] = None
                    continue
                owners[ref] = file
                chosen[ref] = obj
        for kind in RESOURCES:
            self._store.replace(kind, [obj for ref, obj in chosen.items() if ref.kind == kind])
        for message in messages:
            if message not in self._reported:
                log.error("%s", message)
        for message in self._reported - set(messages):
            log.info("no longer wrong: %s", message)
        self._reported = set(messages)
