"""A configuration that is wrong in one place, for every place there is: one clear message, and the old program goes on.

Places are told apart by their keys; of a list of tables, say, one is enough. `KULVERT_FUZZ=N` tries up to N places of each
program's JSON instead of some.
"""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from p4base.messages import p4r
from p4switch.native import NativeDataplane
from p4switch.service.errors import Code, P4Error
from tests.p4switch.compiled import compile_file, compiled_with_info
from tests.p4switch.conftest import PortedNativeDataplane
from tests.p4switch.differential.conftest import PROGRAMS
from tests.p4switch.harness import Harness, table
from tests.p4switch.programs import exact_entry, make_config

Path = tuple[str | int, ...]

PLACES = int(os.environ.get("KULVERT_FUZZ", "60"))
WRONG: tuple[Any, ...] = (None, True, -1, 7, 2**70, 0.5, "", "nonesuch", "0xzz", [], ["x", {}], {}, {"op": "x"})


def places(document: Any, path: Path = ()) -> Iterator[Path]:
    """The path of everything in a JSON document."""
    items: Iterator[tuple[str | int, Any]] = iter(())
    if isinstance(document, dict):
        items = iter(document.items())
    elif isinstance(document, list):
        items = iter(enumerate(document))
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def kinds_of_places(document: Any, rng: random.Random) -> list[Path]:
    """One path of each kind: of paths that differ by their indices only, a random one."""
    found: dict[Path, list[Path]] = {}
    for path in places(document):
        if "source_info" not in path:
            found.setdefault(tuple("*" if isinstance(key, int) else key for key in path), []).append(path)
    return [rng.choice(paths) for paths in found.values()]


def changed(document: Any, path: Path, value: object, *, remove: bool = False) -> bytes:
    """The document with something else at a path, or nothing."""
    document = copy.deepcopy(document)
    at = document
    for key in path[:-1]:
        at = at[key]
    if remove:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return json.dumps(document).encode()


def check_message(error: Exception) -> None:
    text = str(error)
    assert text
    assert "\n" not in text
    assert len(text) < 1000
    for word in ("Traceback", "KeyError", "IndexError", "NoneType", "object has no attribute", "internal error"):
        assert word not in text, text


@pytest.fixture(scope="module")
def running() -> Iterator[Harness]:
    """A native switch with the test program and an entry."""
    switch = Harness(dataplane=PortedNativeDataplane())
    switch.insert(table(exact_entry(1)))
    yield switch
    switch.dataplane.close()


def refused(switch: Harness, config: p4r.ForwardingPipelineConfig) -> bool:
    """Whether a configuration is refused; it must be in the client's terms."""
    try:
        switch.set_config(p4r.SetForwardingPipelineConfigRequest.VERIFY, config)
    except P4Error as error:
        assert error.code != Code.INTERNAL, str(error)
        check_message(error)
        return True
    return False


def still_running(switch: Harness) -> None:
    assert switch.entries(exact_entry(1).table_id) == [exact_entry(1)]


@pytest.mark.parametrize("name", ["tables", "paths", "parse"])
def test_each_part_of_the_json(name: str, running: Harness) -> None:
    bmv2_json, p4info = compile_file(PROGRAMS / f"{name}.p4")
    document = json.loads(bmv2_json)
    rng = random.Random(name)
    paths = kinds_of_places(document, rng)
    assert len(paths) > 150
    count = 0
    for path in (chosen := rng.sample(paths, min(len(paths), PLACES))):
        wrong = [changed(document, path, None, remove=True)]
        wrong += [changed(document, path, value) for value in rng.sample(WRONG, 1)]
        for data in wrong:
            config = p4r.ForwardingPipelineConfig(p4info=p4info, p4_device_config=data)
            count += refused(running, config)
    assert count > len(chosen)
    still_running(running)


def test_what_is_accepted_with_a_change_can_be_loaded(running: Harness) -> None:
    """A change that goes unnoticed yields a program that a C compiler takes."""
    bmv2_json, p4info = compiled_with_info("state")
    document = json.loads(bmv2_json)
    rng = random.Random(3)
    plane = NativeDataplane()
    loaded = 0
    try:
        for path in rng.sample(kinds_of_places(document, rng), 30):
            data = changed(document, path, rng.choice(WRONG))
            if not refused(running, p4r.ForwardingPipelineConfig(p4info=p4info, p4_device_config=data)):
                plane.load(data)
                plane.inject(0, bytes(60))
                loaded += 1
    finally:
        plane.close()
    assert loaded


def fields_of(message: Message, path: Path = ()) -> Iterator[Path]:
    """The path of every field that is set, in a message and those within it."""
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            continue
        for number, item in enumerate(value) if field.is_repeated else ((None, value),):
            here: Path = (*path, field.name) if number is None else (*path, field.name, number)
            yield here
            if field.message_type is not None:
                yield from fields_of(item, here)


def spoil(message: Message, path: Path, rng: random.Random) -> str:
    """Remove or change the field at a path. What was done."""
    at: Any = message
    for key in path[:-1]:
        at = at[key] if isinstance(key, int) else getattr(at, key)
    last = path[-1]
    if isinstance(last, int):
        del at[last]
        return "removed"
    field = at.DESCRIPTOR.fields_by_name[last]
    if field.message_type is not None or rng.random() < 0.4:
        at.ClearField(last)
        return "cleared"
    value: object
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        value = rng.choice(("nonesuch", "")) if field.type == FieldDescriptor.TYPE_STRING else b"\xff\xff"
    elif field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        value = not getattr(at, last)
    else:
        value = rng.choice((0, 1, 5, 2**31 - 1))
    setattr(at, last, value)
    return f"= {value!r}"


@pytest.mark.parametrize("which", ["test program", "state", "tables", "paths"])
def test_each_part_of_the_p4info(which: str, running: Harness) -> None:
    rng = random.Random(which)
    good = make_config()
    if which != "test program":
        bmv2_json, p4info = compiled_with_info(which) if which == "state" else compile_file(PROGRAMS / f"{which}.p4")
        good = p4r.ForwardingPipelineConfig(p4info=p4info, p4_device_config=bmv2_json)
    kinds: dict[Path, list[Path]] = {}
    for path in fields_of(good.p4info):
        kinds.setdefault(tuple("*" if isinstance(key, int) else key for key in path), []).append(path)
    count = 0
    for paths in kinds.values():
        for path in rng.sample(paths, min(len(paths), 3)):
            config = p4r.ForwardingPipelineConfig()
            config.CopyFrom(good)
            spoil(config.p4info, path, rng)
            count += refused(running, config)
    assert count > 15
    still_running(running)
