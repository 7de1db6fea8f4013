"""An installed wheel runs from any directory: everything it needs travels in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(CHECKOUT)])
    [path] = folder.glob("kulvert-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The `kulvert` command of an environment that has the wheel, and Kulvert's dependencies from this one."""
    folder = tmp_path_factory.mktemp("environment")
    _run([sys.executable, "-m", "venv", str(folder)])
    # The dependencies of a clean environment are pip's affair and cost a minute; they are borrowed, Kulvert itself is not.
    [packages] = (folder / "lib").glob("python*/site-packages")
    ours = [path for path in map(Path, sys.path) if path.name == "site-packages" and path.is_dir()]
    for source in (entry for path in ours for entry in path.iterdir()):
        editable = "kulvert" in source.name.lower()
        if not editable and source.name not in {"pip", "setuptools"} and not (packages / source.name).exists():
            (packages / source.name).symlink_to(source)
    _run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)])
    yield folder / "bin" / "kulvert"
    shutil.rmtree(folder)


def _run(command: list[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run


@pytest.mark.parametrize(
    "pattern",
    [
        "kulvert/data/p4src/programs/node_v1model.p4",
        "kulvert/data/p4src/stages/policy.p4",
        "kulvert/data/templates/sizes.p4.j2",
        "kulvert/data/targets/native.toml",
        "kulvert/lab/manifests/10-search-store.yaml",
        "p4compiler/p4include/v1model.p4",
        "p4switch/runtime/kulvert.h",
    ],
)
def test_the_wheel_holds(wheel: Path, pattern: str) -> None:
    assert pattern in zipfile.ZipFile(wheel).namelist()


def test_the_wheel_holds_every_data_file_and_no_other(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("p4src", "templates", "targets"):
        tracked = {path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / folder).rglob("*") if path.is_file()}
        packed = {name.removeprefix("kulvert/data/") for name in names if name.startswith(f"kulvert/data/{folder}/")}
        assert packed == tracked
    assert not [name for name in names if name.startswith(("tests/", "ptf_tests/", "bench/"))]


def test_the_installed_command_builds_the_pipeline_from_any_directory(installed: Path, tmp_path: Path) -> None:
    _run([str(installed), "build", "--target", "small"], cwd=tmp_path)
    assert (tmp_path / "build" / "small" / "node_v1model.json").is_file()


@pytest.mark.parametrize("command", ["build", "compile", "switch", "controller", "lab"])
def test_the_installed_command_has_help(installed: Path, tmp_path: Path, command: str) -> None:
    assert "sage:" in _run([str(installed), command, "--help"], cwd=tmp_path).stdout


def test_the_installed_code_is_the_wheels(installed: Path, tmp_path: Path) -> None:
    python = installed.parent / "python"
    place = _run(
        [str(python), "-c", "import kulvert, p4switch; print(kulvert.__file__, p4switch.__file__)"], cwd=tmp_path
    )
    assert str(CHECKOUT) not in place.stdout
