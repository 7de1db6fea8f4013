"""The cache of compiled pipelines, and what is said when there is no compiler."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from p4switch.dataplane import DataplaneError
from p4switch.native import NativeDataplane
from p4switch.native.compiler import FLAGS, RUNTIME, Build, build, cache_directory, find_compiler
from p4switch.native.programs import begin, translate
from tests.p4switch.compiled import compiled

TEXT = "int answer(void) { return 42; }\n"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "kulvert"


def test_the_same_source_is_compiled_once(cache: Path) -> None:
    first = build(Build("unit", text=TEXT))
    assert first.parent == cache
    made = first.stat().st_ino
    assert build(Build("unit", text=TEXT)) == first
    assert first.stat().st_ino == made
    assert build(Build("unit", text=TEXT + "\n")) != first
    assert first.with_suffix(".c").read_text() == TEXT, "the source stays beside the object"


def test_builds_at_once_do_not_disturb_each_other(cache: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(lambda _: build(Build("unit", text=TEXT)), range(8)))
    assert len(paths) == 1
    assert sorted(path.suffix for path in cache.iterdir()) == [".c", ".so"], "nothing is left behind"


def test_processes_that_want_the_same_at_once_compile_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cc = tmp_path / "slow-cc"
    cc.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/calls\nsleep 0.5\nexec {" ".join(find_compiler())} "$@"\n')
    cc.chmod(0o755)
    code = f"from p4switch.native.compiler import Build, build; build(Build('unit', text={TEXT!r}))"
    environment = {**os.environ, "CC": str(cc), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    started = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    assert len((tmp_path / "calls").read_text().splitlines()) == 2, "one compiles, the same one links"
    assert sorted(path.suffix for path in (tmp_path / "cache" / "kulvert").iterdir()) == [".c", ".so"]


def test_a_build_that_was_killed_keeps_nobody_from_building(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = build(Build("unit", text=TEXT))
    path.unlink()
    path.with_suffix(".lock").touch()
    left, running = cache / "build-left", cache / "build-running"
    for scratch in (left, running):
        scratch.mkdir()
    os.utime(left, (0, 0))
    assert build(Build("unit", text=TEXT)) == path
    assert path.exists()
    assert not left.exists()
    assert running.exists(), "it may be another process's"


def test_a_cache_that_cannot_be_written_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataplaneError, match=r"cannot write to .*/file/kulvert: Not a directory; .*XDG_CACHE_HOME"):
        build(Build("unit", text=TEXT))


def test_a_full_disk_is_one_clear_line(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cc = tmp_path / "full-cc"
    cc.write_text('#!/bin/sh\necho "fatal error: error writing to x.s: No space left on device" >&2\nexit 1\n')
    cc.chmod(0o755)
    monkeypatch.setenv("CC", str(cc))
    with pytest.raises(DataplaneError, match=r"no space left in .*/kulvert or /"):
        build(Build("unit", text=TEXT))
    assert not list(cache.glob("*.so"))
    assert not [path for path in cache.iterdir() if path.is_dir()]


def test_what_the_compiler_refuses_is_one_line(cache: Path) -> None:
    with pytest.raises(DataplaneError, match=r"refused 'unit'.*error") as caught:
        build(Build("unit", text="int answer("))
    assert "\n" not in str(caught.value)
    assert not list(cache.glob("*.so"))


def test_no_compiler_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataplaneError, match=r"no C compiler.*ziglang"):
        find_compiler()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert find_compiler() == [sys.executable, "-m", "ziglang", "cc"]
    monkeypatch.setenv("CC", "no-such-cc -O3")
    with pytest.raises(DataplaneError, match="'no-such-cc -O3', does not exist"):
        find_compiler()


@pytest.mark.parametrize("other", ["", "clang"])
@pytest.mark.parametrize("source", ["generated", *sorted(path.name for path in RUNTIME.glob("*.c"))])
def test_the_compiler_has_nothing_to_warn_of(source: str, other: str, tmp_path: Path) -> None:
    if other and (shutil.which(other) is None or find_compiler() == [shutil.which(other)]):
        pytest.skip(f"no {other} beside the compiler that is tried anyway")
    path = RUNTIME / source
    if source == "generated":
        path = tmp_path / "generated.c"
        path.write_text(translate(compiled("packets"))[1])
    accepted = ("-Wno-unused-function", "-Wno-unused-variable", "-Wno-unused-const-variable", "-Wno-unused-label")
    command = [
        *([other] if other else find_compiler()),
        *FLAGS,
        "-Wall",
        "-Werror",
        *accepted,
        f"-I{RUNTIME}",
        "-c",
        str(path),
        "-o",
        os.devnull,
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_cache_forgets_what_nobody_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = cache_directory()
    folder.mkdir()
    day = 24 * 3600
    ages = {"pipeline-a.so": 40, "pipeline-a.c": 40, "program-a": 40, "program-b": 2, "pipeline-b.so": 2, "other": 90}
    for name, days in ages.items():
        (folder / name).write_bytes(b"x" * 100)
        os.utime(folder / name, (time.time() - days * day,) * 2)
    made = build(Build("pipeline", text="int one(void) { return 1; }"))
    assert {path.name for path in folder.iterdir()} == {
        "program-b",
        "pipeline-b.so",
        "other",
        made.name,
        made.with_suffix(".c").name,
    }
    # Too large: the least recently used goes, what was used just now stays.
    monkeypatch.setattr("p4switch.native.compiler._CACHE_BYTES", 10)
    os.utime(made, (time.time() - 3 * day,) * 2)
    assert build(Build("pipeline", text="int one(void) { return 1; }")) == made
    second = build(Build("pipeline", text="int two(void) { return 2; }"))
    assert {path.name for path in folder.iterdir() if path.suffix == ".so"} == {made.name, second.name}
    assert not (folder / "program-b").exists()
    assert (folder / "other").exists()


def test_a_program_whose_object_is_gone_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config = compiled("tools")
    begun = begin(config)
    begun.result.result().path.unlink()
    plane = NativeDataplane(begun=begun)
    try:
        plane.load(config)
    finally:
        plane.close()


def sanitizer_libraries() -> str | None:
    """The libraries to preload, if this compiler has them."""
    try:
        names = [
            subprocess.run(
                [*find_compiler(), f"-print-file-name={name}"], capture_output=True, text=True, check=True
            ).stdout.strip()
            for name in ("libasan.so", "libubsan.so")
        ]
    except (DataplaneError, OSError, subprocess.CalledProcessError):
        return None
    return " ".join(names) if all(Path(name).is_absolute() for name in names) else None


def fixed_addresses() -> list[str]:
    """What to put before a command so that its addresses are not drawn at random, where that is allowed: the sanitizers want their shadow
    where some that are drawn would be.
    """
    setarch = shutil.which("setarch")
    command = [setarch, "-R"] if setarch is not None else []
    works = bool(command) and not subprocess.run([*command, "true"], capture_output=True, check=False).returncode
    return command if works else []


SANITIZED = """
import random, sys
from p4switch.native import NativeDataplane
from tests.p4switch.compiled import compiled
from tests.p4switch.test_native_packets import command, ether, ipv4, order

rng = random.Random(1)
dataplane = NativeDataplane(cpu_port=64)
dataplane.load(compiled("packets"))
dataplane.set_multicast_group(5, [(1, 1), (2, 2)])
dataplane.set_clone_session(3, [(9, 0)], truncate=30)
seeds = [order(what, 3) for what in range(11)]
seeds += [order(2, 5), ether(0x800, ipv4(options=bytes(40)) + command(5)), ether(0x9100, bytes([0, 2, 0, 2, 0, 3]))]
out = 0
for _ in range(1000):
    frame = bytearray(rng.choice(seeds) + bytes(rng.randrange(40)))
    for _ in range(rng.randrange(6)):
        frame[rng.randrange(len(frame))] = rng.getrandbits(8)
    out += len(dataplane.inject(rng.randrange(512), bytes(frame[: rng.randrange(len(frame) + 1)])))
rounds = int(sys.argv[1])
names = ("packets", "state", "parallel", "tools")[: 2 if rounds < 100_000 else None]  # each takes a while to compile
for number, name in enumerate(names):
    if number:
        dataplane.load(compiled(name))
    out += dataplane.mutate(seeds, rounds // len(names), seed=number)
dataplane.close()
print("done", out > 50)
"""


def test_mutated_packets_under_the_sanitizers(tmp_path: Path) -> None:
    libraries = sanitizer_libraries()
    if libraries is None:
        pytest.skip("the C compiler has no address sanitizer")
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "XDG_CACHE_HOME": str(tmp_path),
        "KULVERT_SANITIZE": "address,undefined",
        "LD_PRELOAD": libraries,
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter's own are not ours
        "PYTHONMALLOC": "malloc",
    }
    frames = os.environ.get("KULVERT_FUZZ_FRAMES", "40000")  # `make fuzz` takes a million
    result = subprocess.run(
        [*fixed_addresses(), sys.executable, "-c", SANITIZED, frames],
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert "done True" in result.stdout
