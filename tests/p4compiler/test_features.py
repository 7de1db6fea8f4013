"""Each feature of the language in a program of its own: what the switch sends for the packets is what BMv2 sends.

`features/NAME.p4` has `NAME.packets`: each packet (`in`) and what becomes of it (`out`). `pytest --update-goldens` writes what the
native switch sends; with simple_switch on the PATH the same files are checked against it, and with p4c-bm2-ss against p4c's
JSON too.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from p4switch.native.dataplane import NativeDataplane
from tests.p4compiler.programs import compile_file
from tests.p4compiler.reference import compile_with_p4c, run_packets

FEATURES = Path(__file__).parent / "features"
PROGRAMS = sorted(FEATURES.glob("*.p4"))

# What p4c-bm2-ss does not take, or what BMv2 does not take of its JSON.
NOT_FOR_P4C = frozenset({
    "arrays",  # arrays of bits and structures
    "enums",  # a negative value of a select
    "generics",  # a structure compared with a list
    "hashes",  # a list inside of the list that is hashed
    "header_unions",  # a stack of unions inside of a structure
    "loops",  # for (... in ...)
    "registers",  # a signed register, which is read as if it were not
    "returns_and_exits",  # an exit in an action that a control applies twice
    "signs",  # negative numbers in entries
    "stacks",  # a negative value of a select
    "switches",  # a negative label of a switch
    "tables",  # negative numbers in entries
    "union_stacks",  # lastIndex of a stack of unions
})  # fmt: skip


def packets(path: Path) -> tuple[list[bytes], list[bytes]]:
    """What goes in and what comes out."""
    lines = path.with_suffix(".packets").read_text(encoding="utf-8").splitlines()
    sides = [[bytes.fromhex(line[4:]) for line in lines if line.startswith(side)] for side in ("in", "out")]
    return sides[0], sides[1]


@pytest.fixture(scope="module")
def switch() -> Iterator[NativeDataplane]:
    dataplane = NativeDataplane()
    yield dataplane
    dataplane.close()


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_native(path: Path, switch: NativeDataplane, compare_golden: Callable[[Path, str], None]) -> None:
    switch.load(compile_file(path).document.serialize().encode())
    text = ""
    for sent in packets(path)[0]:
        text += f"in  {sent.hex()}\n"
        text += "".join(f"out {received.hex()}\n" for _, received in switch.inject(0, sent))
    compare_golden(path.with_suffix(".packets"), text)


@pytest.mark.skipif(shutil.which("simple_switch") is None, reason="simple_switch is not on the PATH")
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_bmv2(path: Path, tmp_path: Path) -> None:
    document = tmp_path / "ours.json"
    document.write_text(compile_file(path).document.serialize(), encoding="utf-8")
    sent, expected = packets(path)
    assert run_packets(document, sent, tmp_path) == expected


@pytest.mark.skipif(
    None in (shutil.which("simple_switch"), shutil.which("p4c-bm2-ss")),
    reason="simple_switch and p4c-bm2-ss are not both on the PATH",
)
@pytest.mark.parametrize("path", [p for p in PROGRAMS if p.stem not in NOT_FOR_P4C], ids=lambda path: path.stem)
def test_p4c(path: Path, tmp_path: Path) -> None:
    document = compile_with_p4c(path.read_text(encoding="utf-8"), tmp_path, [FEATURES])
    sent, expected = packets(path)
    assert run_packets(document, sent, tmp_path) == expected
