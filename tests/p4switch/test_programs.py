"""Programs that were seen before are neither read nor compiled again, and run the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from p4switch.bmv2 import loader
from p4switch.dataplane import DataplaneError
from p4switch.native import NativeDataplane
from p4switch.native.programs import begin, make_ready
from tests.p4switch.compiled import compiled
from tests.p4switch.test_native_packets import order


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "kulvert"


def never(*_: object, **__: object) -> None:
    raise AssertionError("a program that was seen before was read again")


def test_the_second_time_nothing_is_read(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = compiled("state")
    first = make_ready(config)
    with monkeypatch.context() as patched:
        patched.setattr(loader, "load", never)
        NativeDataplane.check(config)
        second = make_ready(config)
        assert second.path == first.path
        assert second.objects.description == first.objects.description
    assert second.objects.program == first.objects.program, "and the whole program is there for whoever asks"


def test_another_program_or_traces_are_not_the_same(cache: Path) -> None:
    paths = {make_ready(config).path for config in (compiled("state"), compiled("packets"), compiled("state") + b" ")}
    assert len(paths) == 2, "a blank more is another JSON, but the same C"
    assert make_ready(compiled("packets"), traced=True).path not in paths


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "no library"])
def test_a_damaged_cache_is_made_anew(cache: Path, damage: str) -> None:
    config = compiled("state")
    ready = make_ready(config)
    note = next(cache.glob("program-*"))
    whole = note.read_bytes()
    if damage == "gone":
        note.unlink()
    elif damage == "no library":
        ready.path.unlink()
    else:
        note.write_bytes(b"" if damage == "empty" else whole[: len(whole) // 2])
    again = make_ready(config)
    assert again.path == ready.path
    assert again.path.exists()
    assert note.read_bytes() == whole
    assert again.objects.description == ready.objects.description


def test_a_program_seen_before_runs_as_it_did(cache: Path) -> None:
    """With its constant entries and defaults, and in a process that has not read it."""
    code = (
        "import sys; from p4switch.native import NativeDataplane; from pathlib import Path;"
        "plane = NativeDataplane(cpu_port=64); plane.load(Path(sys.argv[1]).read_bytes());"
        "print([plane.inject(3, bytes.fromhex(frame)) for frame in sys.argv[2:]], [t.name for t in plane.objects.tables.values()],"
        "[list(plane.read_entries(name)) for name in plane.objects.tables], 'p4switch.bmv2.model' in sys.modules);"
        "plane.close()"
    )
    program = cache.parent / "packets.json"
    program.write_bytes(compiled("packets"))
    command = [sys.executable, "-c", code, str(program), *(order(what, 3).hex() for what in range(11))]
    runs = []
    for _ in range(2):
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        runs.append(run.stdout.strip().rpartition(" "))
    assert runs[0][0] == runs[1][0]
    assert [run[2] for run in runs] == ["True", "False"]


def test_what_was_begun_is_loaded_and_nothing_else(cache: Path) -> None:
    begun = begin(compiled("packets"))
    plane = NativeDataplane(cpu_port=64, begun=begun)
    try:
        plane.load(compiled("state"))
        assert plane.config == compiled("state")
        plane.load(compiled("packets"))
        assert plane.config == compiled("packets")
        assert plane.inject(3, order(0)) is not None
    finally:
        plane.close()
    bad = NativeDataplane(begun=begin(b"{"))
    try:
        with pytest.raises(DataplaneError, match="BMv2 JSON"):
            bad.load(b"{")
    finally:
        bad.close()
