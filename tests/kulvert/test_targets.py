"""Target files: what comes with Kulvert is right, and each mistake is told with its line and key."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kulvert.resources import resource_dir
from kulvert.targets import TICK_SECONDS, TargetError, Timeouts, find_target, load_target, target_names

SMALL = (resource_dir("targets") / "small.toml").read_text(encoding="utf-8")


def _line_of(text: str, pattern: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if re.match(pattern, line))


def _refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TargetError) as error:
        load_target(path)
    message = str(error.value)
    assert message.startswith(str(path))
    return message.removeprefix(f"{path}:")


@pytest.mark.parametrize("name", target_names())
def test_every_target_loads_by_name(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    assert target.connections.ways == 8 * target.connections.sets


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SMALL, encoding="utf-8")
    target = load_target(path)
    assert (target.name, target.path) == ("mine", path)
    assert target.sizes == load_target("small").sizes


def test_an_unknown_target_is_told_with_those_there_are() -> None:
    with pytest.raises(
        TargetError, match=r"no target named 'nativ': did you mean native\? there are bmv2, native, small"
    ):
        load_target("nativ")
    with pytest.raises(TargetError, match=r"absent\.toml: no such target file"):
        load_target("absent.toml")


@pytest.mark.parametrize(
    ("pattern", "replacement", "expected"),
    [
        (r"route_table = 64", "rout_table = 64", "sizes.rout_table: unknown key; did you mean route_table?"),
        (r"route_table = 64", 'route_table = "64"', "sizes.route_table: must be a whole number, not '64'"),
        (r"route_table = 64", "route_table = true", "sizes.route_table: must be a whole number, not True"),
        (r"route_table = 64", "route_table = 0", "sizes.route_table: must be between 1 and 268435456, not 0"),
        (r"icmp = 2", "icmp = 0.5", "timeouts.icmp: must be between 1 and 140737486 seconds, not 0.5"),
        (r"icmp = 2", 'icmp = "2"', "timeouts.icmp: must be a number of seconds, not '2'"),
        (r"cpu = 510", "cpu = 511", "ports.cpu: 511 is v1model's drop port"),
        (r"selector_hash = 32", "selector_hash = 33", "widths.selector_hash: must be between 8 and 32, not 33"),
        (r'switch = "kulvert"', 'switch = "ovs"', "toolchain.switch: must be 'kulvert' or 'bmv2', not 'ovs'"),
        (r"compilers = .*", "compilers = []", "toolchain.compilers: must be a list of one or more of kulvert, p4c"),
        (r'architecture = "v1model"', 'architecture = "psa"', "architecture: must be 'v1model', not 'psa'"),
        (r"description = .*", 'description = ""', "description: must be a text, not ''"),
        (
            r'program = "node_v1model.p4"',
            'program = "node.p4"',
            "program: there is no program 'node.p4' in p4src/programs; there is: node_v1model.p4",
        ),
    ],
)
def test_a_wrong_value_is_told_with_line_and_key(tmp_path: Path, pattern: str, replacement: str, expected: str) -> None:
    text, count = re.subn(rf"(?m)^{pattern}", replacement, SMALL)
    assert count == 1
    assert _refused(tmp_path, text) == f"{_line_of(SMALL, pattern)}: {expected}"


def test_a_missing_key_is_told_with_its_table(tmp_path: Path) -> None:
    text = SMALL.replace("route_table = 64\n", "")
    assert _refused(tmp_path, text) == f"{_line_of(text, re.escape('[sizes]'))}: sizes.route_table: is missing"
    assert _refused(tmp_path, SMALL.replace("[widths]", "[width]")).endswith("width: unknown key; did you mean widths?")


def test_a_table_must_be_a_table(tmp_path: Path) -> None:
    text = SMALL[: SMALL.index("[widths]")].replace("[toolchain]", "widths = 3\n[toolchain]")
    text += SMALL[SMALL.index("[connections]") :]
    assert _refused(tmp_path, text).endswith("widths: must be a table, [widths]")


def test_broken_toml_is_told_with_its_line(tmp_path: Path) -> None:
    assert _refused(tmp_path, SMALL.replace("cpu = 510", "cpu = = 510")).startswith(
        f"{_line_of(SMALL, 'cpu = 510')}: not valid TOML"
    )


def test_what_is_not_text_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TargetError, match="cannot be read"):
        load_target(path)


@given(st.lists(st.floats(min_value=1, max_value=1e8), min_size=len(fields(Timeouts)), max_size=len(fields(Timeouts))))
def test_a_timeout_in_ticks_is_never_shorter_than_in_seconds(seconds: list[float]) -> None:
    for ticks, wanted in zip(dict(Timeouts(*seconds).ticks()).values(), seconds, strict=True):
        assert (ticks - 1) * TICK_SECONDS < wanted <= ticks * TICK_SECONDS * (1 + 1e-12)


def test_a_target_that_has_only_odd_sizes_gets_those(tmp_path: Path) -> None:
    path = tmp_path / "dpu.toml"
    path.write_text(find_target("native").read_text() + '\n[capabilities]\nmodify = false\nsizes = "2^n-1"\n')
    target, native = load_target(path), load_target("native")
    assert load_target("bmv2").capabilities.watch_ports is False and native.capabilities.watch_ports is True
    assert target.capabilities.modify is False and native.capabilities.modify is True
    for (name, size), (_, wanted) in zip(target.sizes.items(), native.sizes.items(), strict=True):
        assert (size + 1) & size == 0 and wanted <= size < 2 * wanted + 1, name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("modify = 1", "true or false"),
        ("watch_ports = 0", "true or false"),
        ('sizes = "odd"', "'any' or '2^n-1'"),
        ("speed = 1", "unknown key"),
    ],
)
def test_capabilities_are_checked(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "dpu.toml"
    path.write_text(find_target("small").read_text() + f"\n[capabilities]\n{text}\n")
    line = len(path.read_text().splitlines())
    with pytest.raises(TargetError) as caught:
        load_target(path)
    assert f"dpu.toml:{line}: capabilities." in str(caught.value) and words in str(caught.value)
