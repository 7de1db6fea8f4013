"""Programs made ready to run: from a BMv2 JSON to a shared object and a description of what is in it.

What was made of a JSON is noted in the cache by the hash of the JSON and of everything that turns it into an object, so that a
program that was seen before is neither read nor translated again.
"""

from __future__ import annotations

import hashlib
import logging
import os
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from p4switch.dataplane import DataplaneError, Status
from p4switch.native.compiler import RUNTIME, Build, build, cache_directory, in_background, toolchain, used
from p4switch.native.library import RUNTIME_BUILD
from p4switch.native.objects import Description, Objects

if TYPE_CHECKING:
    from p4switch.bmv2 import model

_LOG = logging.getLogger(__name__)
_PACKAGE = Path(__file__).resolve().parent.parent
_TRANSLATORS = ("bmv2", "codegen")
"""The packages that make C of a JSON."""


class Ready(msgspec.Struct, frozen=True):
    """A program that can be loaded: its shared object and its objects."""

    path: Path
    objects: Objects


class Begun(msgspec.Struct, frozen=True):
    """A program that is being made ready."""

    config: bytes
    traced: bool
    result: Future[Ready]


class _Note(msgspec.Struct, frozen=True):
    """What is kept of a program beside its shared object, the name of whose file is `library`."""

    library: str
    description: Description


def translate(bmv2_json: bytes, *, traced: bool = False) -> tuple[model.Program, str]:
    """The program in a JSON, and its C.

    Args:
        traced: with records of what happens to each packet.

    Raises:
        DataplaneError: the JSON is malformed or asks for something unsupported.
    """
    from p4switch.bmv2.loader import load
    from p4switch.codegen.program import generate

    try:
        program = load(bmv2_json)
        return program, generate(program, traced=traced)
    except RecursionError:
        raise DataplaneError(Status.INVALID_ARGUMENT, "BMv2 JSON: an expression is nested too deeply") from None


def begin(bmv2_json: bytes, *, traced: bool = False) -> Begun:
    """Begin to make a program and the runtime ready; the C compiler works while the caller goes on.

    What is wrong is raised by the result: DataplaneError as from `make_ready`.
    """
    in_background(build, RUNTIME_BUILD)
    result: Future[Ready] = Future()
    try:
        note = _note_path(bmv2_json, traced)
        found = _seen(note, bmv2_json)
        if found is None:
            result = in_background(_finish, note, bmv2_json, *translate(bmv2_json, traced=traced))
        else:
            result.set_result(found)
    except DataplaneError as error:
        result.set_exception(error)
    return Begun(bmv2_json, traced, result)


def make_ready(bmv2_json: bytes, *, traced: bool = False) -> Ready:
    """A program's shared object, from the cache or newly made.

    Raises:
        DataplaneError: the JSON is malformed or asks for something unsupported; there is no C compiler, or it refused.
    """
    note = _note_path(bmv2_json, traced)
    found = _seen(note, bmv2_json)
    return found if found is not None else _finish(note, bmv2_json, *translate(bmv2_json, traced=traced))


def check(bmv2_json: bytes) -> None:
    """Whether a program can be made ready, as far as C is concerned. One that was made ready before can.

    Raises:
        DataplaneError: the JSON is malformed or asks for something unsupported; there is no C compiler.
    """
    if _seen(_note_path(bmv2_json, False), bmv2_json) is None:
        translate(bmv2_json)


def _finish(note: Path, bmv2_json: bytes, program: model.Program, text: str) -> Ready:
    from p4switch.native.describe import describe

    description = describe(program)
    path = build(Build("pipeline", text=text))
    content = msgspec.msgpack.encode(_Note(path.name, description))
    aside = note.with_suffix(f".{os.getpid()}")
    try:
        aside.write_bytes(content)
        aside.replace(note)
    except OSError as error:  # the program runs all the same; the next start takes a little longer
        _LOG.warning("cannot write %s: %s", note, error.strerror)
        with suppress(OSError):
            aside.unlink()
    return Ready(path, Objects(bmv2_json, description, program))


def _seen(note: Path, bmv2_json: bytes) -> Ready | None:
    """What was made of the JSON before; None if nothing, or if it is not all there."""
    try:
        kept = msgspec.msgpack.decode(note.read_bytes(), type=_Note)
    except (OSError, msgspec.MsgspecError):
        return None
    path = note.parent / kept.library
    return Ready(path, Objects(bmv2_json, kept.description)) if used(path) and used(note) else None


def _note_path(bmv2_json: bytes, traced: bool) -> Path:
    digest = hashlib.sha256(toolchain().digest)
    digest.update(_translators())
    digest.update(b"traced" if traced else b"plain")
    digest.update(bmv2_json)
    return cache_directory() / f"program-{digest.hexdigest()[:32]}"


@cache
def _translators() -> bytes:
    """The hash of all that turns a JSON into C and its description."""
    digest = hashlib.sha256()
    sources = [path for name in _TRANSLATORS for path in sorted((_PACKAGE / name).glob("*.py"))]
    for path in (*sources, *sorted(Path(__file__).parent.glob("*.py")), *sorted(RUNTIME.glob("*.h"))):
        digest.update(path.read_bytes())
    return digest.digest()
