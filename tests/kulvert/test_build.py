"""Building the pipeline: sizes rendered, profiles that cannot work refused, failures told and harmless."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

import kulvert.build
from kulvert.build import P4C, BuildError, BuildResult, build, choose_compiler, print_capacity, render_sizes
from kulvert.capacity import capacity_of, connection_memory, find_contradictions
from kulvert.targets import Sizes, Target, load_target, target_names

_PRETENDED_COMPILER = """#!/bin/sh
while [ $# -gt 1 ]; do
  case "$1" in
    -o) json=$2; shift ;;
    --p4runtime-files) p4info=$2; shift ;;
    -I) [ -f "$2/sizes.p4" ] && sizes=$2/sizes.p4; shift ;;
  esac
  shift
done
echo '{}' > "$json"
grep '_SIZE =' "$sizes" | tr -d ';' | while read -r _ _ name _ size; do
  alias=$(echo "${name%_SIZE}" | tr A-Z a-z)
  case $alias in
    endpoint_selector) kind=action_profiles ;;
    *) kind=tables ;;
  esac
  echo "$kind { preamble { name: \\"x.$alias\\" alias: \\"$alias\\" } size: $size }" >> "$p4info"
done
echo "a warning" >&2
"""


@pytest.fixture
def p4c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for p4c on the PATH; tests overwrite it."""
    path = tmp_path / "bin" / P4C
    path.parent.mkdir()
    path.write_text(_PRETENDED_COMPILER, encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
    return path


def test_every_size_and_timeout_reaches_the_p4() -> None:
    target = load_target("small")
    text = render_sizes(target)
    for name, size in target.sizes.items():
        assert f"{name.upper()}_SIZE = {size};" in text
    for name, ticks in target.timeouts.ticks():
        assert f"TIMEOUT_{name.upper()} = {ticks};" in text
    constants = dict(re.findall(r"^const bit<\d+>\s+(\w+)\s*=\s*(\d+);", text, re.M))
    wanted = {
        "CONNECTION_SET_SHIFT": 57,
        "CONNECTION_FINGERPRINT_SHIFT": 25,
        "CONNECTION_SLOTS": 1024,
        "CONNECTION_RECORD_WORDS": 4096,
        "CONNECTION_PICKUP": 1,
        "UNANSWERED_LIMIT": 128,
        "UNANSWERED_WINDOW_SHIFT": 2,
        "AFFINITY_SET_SHIFT": 60,
        "AFFINITY_FINGERPRINT_SHIFT": 24,
        "AFFINITY_SLOTS": 64,
        "AFFINITY_RECORD_WORDS": 256,
        "MASQUERADE_FIRST_PORT": target.masquerade.first_port,
        "MASQUERADE_LAST_PORT": target.masquerade.last_port,
        "CPU_PORT": 510,
    }
    assert {name: int(constants[name]) for name in wanted} == wanted
    assert "{" not in text


def test_sizes_of_the_p4_come_from_the_target_alone() -> None:
    """No table of the sources has a number for its size."""
    from kulvert.resources import resource_dir

    for path in resource_dir("p4src").rglob("*.p4"):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert not re.match(r"\s*size\s*=\s*\d", line), f"{path}: {line}"


@pytest.mark.parametrize("name", target_names())
def test_what_comes_with_kulvert_can_work(name: str) -> None:
    assert list(find_contradictions(load_target(name))) == []


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("port_table", 512, "sizes.port_table is 512, but v1model has only 511 port numbers"),
        ("source_pod_table", 31, "sizes.source_pod_table is 31, less than sizes.port_table"),
        ("destination_pod_table", 31, "sizes.destination_pod_table is 31, less than sizes.port_table"),
        ("uplink_source_table", 31, "sizes.uplink_source_table is 31, less than sizes.source_pod_table"),
        ("service_frontend_table", 63, "sizes.service_frontend_table is 63, less than sizes.service_endpoint_table"),
        ("endpoint_selector", 63, "sizes.endpoint_selector is 63, less than sizes.service_endpoint_table"),
        ("live_endpoint_table", 63, "sizes.live_endpoint_table is 63, less than half of sizes.endpoint_selector"),
    ],
)
def test_a_profile_that_cannot_work_is_refused_with_the_reason(
    tmp_path: Path, field: str, value: int, reason: str
) -> None:
    small = load_target("small")
    sizes: Sizes = replace(small.sizes, **{field: value})
    with pytest.raises(BuildError, match="this profile cannot work") as error:
        build(replace(small, sizes=sizes), tmp_path)
    assert reason in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_timeouts_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    small = load_target("small")
    timeouts = replace(small.timeouts, tcp_established=4.0, udp_replied=1.0)
    with pytest.raises(BuildError) as error:
        build(replace(small, timeouts=timeouts), tmp_path)
    assert str(error.value).count("timeouts.") == 4


def test_auto_takes_the_targets_first_compiler_that_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, p4c: Path
) -> None:
    assert choose_compiler(load_target("native"), "auto") == "kulvert"
    assert choose_compiler(load_target("bmv2"), "auto") == "p4c"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert choose_compiler(load_target("bmv2"), "auto") == "kulvert"
    with pytest.raises(BuildError, match="p4c-bm2-ss is not on the PATH"):
        choose_compiler(load_target("native"), "p4c")
    only_p4c = replace(load_target("native"), toolchain=replace(load_target("native").toolchain, compilers=("p4c",)))
    with pytest.raises(BuildError, match="none of the target's compilers is installed: p4c"):
        choose_compiler(only_p4c, "auto")


def _built(tmp_path: Path) -> BuildResult:
    return build("small", tmp_path / "out", "p4c")


def test_a_build_leaves_json_p4info_and_sizes(tmp_path: Path, p4c: Path) -> None:
    result = _built(tmp_path)
    assert sorted(path.name for path in result.output_dir.iterdir()) == [
        "node_v1model.json",
        "node_v1model.p4info.txtpb",
        "sizes.p4",
    ]
    assert result.compiler == "p4c"
    assert result.diagnostics == "a warning\n"


def test_the_pipeline_is_compiled_without_a_warning(tmp_path: Path) -> None:
    assert build("small", tmp_path / "out", "kulvert").diagnostics == ""


def test_a_refused_program_leaves_the_last_good_build(tmp_path: Path, p4c: Path) -> None:
    first = _built(tmp_path)
    p4c.write_text("#!/bin/sh\necho 'node.p4(3): error: no' >&2\nexit 1\n", encoding="utf-8")
    with pytest.raises(BuildError, match=r"refused .*node_v1model\.p4") as error:
        _built(tmp_path)
    assert error.value.diagnostics == "node.p4(3): error: no\n"
    assert first.bmv2_json.read_text(encoding="utf-8") == "{}\n"
    assert not list(first.output_dir.glob(".build-*"))


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (_PRETENDED_COMPILER.replace("size: $size", "size: 1"), "sizes.port_table is 32, but the P4Info says 1"),
        (
            _PRETENDED_COMPILER.replace("'_SIZE ='", "'PORT_TABLE_SIZE ='"),
            "sizes.trap_table: the program has no such table",
        ),
        (_PRETENDED_COMPILER.replace("preamble", "pre amble"), "left no usable P4Info"),
        ("#!/bin/sh\nexit 0\n", "left no usable P4Info"),
    ],
)
def test_a_p4info_out_of_step_is_refused(tmp_path: Path, p4c: Path, script: str, message: str) -> None:
    p4c.write_text(script, encoding="utf-8")
    with pytest.raises(BuildError, match=re.escape(message)):
        _built(tmp_path)


def test_a_compiler_that_does_not_end_is_ended(tmp_path: Path, p4c: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    p4c.write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
    monkeypatch.setattr(kulvert.build, "_COMPILE_SECONDS", 0.2)
    with pytest.raises(BuildError, match=r"did not finish within 0\.2 s"):
        _built(tmp_path)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, p4c: Path) -> None:
    (tmp_path / "out").write_text("in the way", encoding="utf-8")
    with pytest.raises(BuildError, match="out: cannot write the build: File exists"):
        _built(tmp_path)


def test_a_wrong_target_file_is_a_build_error(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no target named 'absent'"):
        build("absent", tmp_path)


def test_capacity_is_what_the_target_file_says(tmp_path: Path, p4c: Path) -> None:
    target: Target = load_target("native")
    holds = {line.what: line.number for line in capacity_of(target)}
    assert holds["endpoints"] == 262144
    assert holds["connections (at half the ways)"] == 1 << 20
    assert connection_memory(target) == (8 << 19) * 72
    console = Console(record=True, width=120)
    print_capacity(_built(tmp_path), console)
    text = console.export_text()
    assert "256" in text
    assert "connections.set_bits" in text
