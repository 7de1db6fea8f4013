"""Build the P4 pipeline of a target: render the sizes, choose a compiler, compile, check and tell the capacity.

    result = build("native", output_dir=Path("build/native"), compiler="auto")
    result.bmv2_json, result.p4info          # the artifacts
    print_capacity(result, Console())        # the table of what the pipeline holds

`build` raises BuildError with one printable message (and the compiler's own diagnostics in `.diagnostics`); nothing
is printed by `build` itself. A build that fails leaves the artifacts of the last good one in place.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import jinja2
from google.protobuf import text_format

from kulvert.capacity import capacity_of, connection_memory, find_contradictions
from kulvert.resources import ResourceError, resource_dir
from kulvert.targets import CompilerName, Target, TargetError, load_target
from p4base.messages import p4i

if TYPE_CHECKING:
    from rich.console import Console

CompilerChoice = Literal["auto", "kulvert", "p4c"]

P4C = "p4c-bm2-ss"
"""The reference compiler's command."""

_COMPILE_SECONDS = 300


class BuildError(Exception):
    """The pipeline could not be built. `str()` is for the user; `diagnostics` is the compiler's output, verbatim."""

    def __init__(self, message: str, diagnostics: str = "") -> None:
        super().__init__(message)
        self.diagnostics = diagnostics


@dataclass(frozen=True, slots=True)
class BuildResult:
    """A built pipeline.

    Attributes:
        target: what it was built for.
        compiler: which compiler made it.
        output_dir: the folder of everything below, and of the rendered sizes.p4.
        bmv2_json: the BMv2 JSON.
        p4info: the P4Info in protobuf text format.
        diagnostics: what the compiler said (warnings), verbatim.
        seconds: how long rendering and compiling took.
    """

    target: Target
    compiler: CompilerName
    output_dir: Path
    bmv2_json: Path
    p4info: Path
    diagnostics: str
    seconds: float


def build(
    target: str | Path | Target, output_dir: Path | None = None, compiler: CompilerChoice = "auto"
) -> BuildResult:
    """Build `target` (a name, a path of a target file, or a loaded Target) into `output_dir` (default `build/<name>`).

    Raises:
        BuildError: the target file is wrong, no compiler is installed, the profile cannot work or the P4 is refused.
    """
    started = time.monotonic()
    try:
        loaded = target if isinstance(target, Target) else load_target(target)
        source_dir = resource_dir("p4src")
        sizes = render_sizes(loaded)
    except (TargetError, ResourceError) as error:
        raise BuildError(str(error)) from None
    contradictions = list(find_contradictions(loaded))
    if contradictions:
        reasons = "\n".join(f"  - {reason}" for reason in contradictions)
        raise BuildError(f"{loaded.path}: this profile cannot work:\n{reasons}")
    chosen = choose_compiler(loaded, compiler)

    folder = output_dir if output_dir is not None else Path("build") / loaded.name
    stem = Path(loaded.program).stem
    bmv2_json, p4info = folder / f"{stem}.json", folder / f"{stem}.p4info.txtpb"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sizes.p4").write_text(sizes, encoding="utf-8")
        with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as scratch:
            new_json, new_p4info = Path(scratch) / bmv2_json.name, Path(scratch) / p4info.name
            arguments = ["--arch", loaded.architecture, "-I", str(folder), "-I", str(source_dir), "-o", str(new_json)]
            arguments += ["--p4runtime-files", str(new_p4info), str(source_dir / "programs" / loaded.program)]
            diagnostics = _compile(chosen, arguments)
            _check_p4info(new_p4info, loaded, diagnostics)
            os.replace(new_json, bmv2_json)
            os.replace(new_p4info, p4info)
    except OSError as error:
        raise BuildError(f"{folder}: cannot write the build: {error.strerror or error}") from None
    return BuildResult(loaded, chosen, folder, bmv2_json, p4info, diagnostics, time.monotonic() - started)


def render_sizes(target: Target) -> str:
    """The text of sizes.p4: the constants that the P4 sources take from the target file.

    Raises:
        ResourceError: the template is missing.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resource_dir("templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    template = environment.get_template("sizes.p4.j2")
    return template.render(target=target, sizes=list(target.sizes.items()), timeouts=list(target.timeouts.ticks()))


def choose_compiler(target: Target, choice: CompilerChoice) -> CompilerName:
    """The compiler to use. `auto` is the target file's first one that is installed.

    Raises:
        BuildError: the one asked for is not installed, or none of the target's is.
    """
    if choice != "auto":
        if not _is_installed(choice):
            raise BuildError(f"{P4C} is not on the PATH; `--compiler kulvert` needs nothing but Python")
        return choice
    for name in target.toolchain.compilers:
        if _is_installed(name):
            return name
    raise BuildError(
        f"{target.path}: none of the target's compilers is installed: {', '.join(target.toolchain.compilers)}"
    )


def _is_installed(compiler: CompilerName) -> bool:
    return compiler == "kulvert" or shutil.which(P4C) is not None


def _compile(compiler: CompilerName, arguments: list[str]) -> str:
    """Run the compiler and return what it said. Both take p4c-bm2-ss's arguments.

    Raises:
        BuildError: the program was refused, or the compiler could not be run or did not end.
    """
    command = [sys.executable, "-m", "p4compiler"] if compiler == "kulvert" else [P4C]
    # "unsupported" warns of every table with an action selector that it has no default action, also if none is asked for.
    # (p4c warns all the same.)
    command.append("--Wdisable=unsupported")
    try:
        run = subprocess.run(
            [*command, *arguments], capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"the compiler did not finish within {_COMPILE_SECONDS} s") from None
    except OSError as error:
        raise BuildError(f"cannot run {command[0]}: {error.strerror}") from None
    said = run.stdout + run.stderr
    if run.returncode:
        raise BuildError(f"the {'p4c' if compiler == 'p4c' else 'Kulvert'} compiler refused {arguments[-1]}", said)
    return said


def _check_p4info(path: Path, target: Target, diagnostics: str) -> None:
    """Make sure that the P4Info holds every table at the size that the target file promises.

    Raises:
        BuildError: it does not: sources, template or compiler are out of step.
    """
    try:
        p4info = text_format.Parse(path.read_text(encoding="utf-8"), p4i.P4Info())
    except (OSError, text_format.ParseError) as error:
        raise BuildError(f"the compiler left no usable P4Info: {error}", diagnostics) from None
    sizes = {table.preamble.alias: table.size for table in p4info.tables}
    sizes |= {profile.preamble.alias: profile.size for profile in p4info.action_profiles}
    for name, size in target.sizes.items():
        if name not in sizes:
            raise BuildError(f"{target.path}: sizes.{name}: the program has no such table", diagnostics)
        if sizes[name] != size:
            raise BuildError(f"{target.path}: sizes.{name} is {size}, but the P4Info says {sizes[name]}", diagnostics)


def print_capacity(result: BuildResult, console: Console) -> None:
    """Print what the pipeline holds."""
    from rich.table import Table

    table = Table(title=f"{result.target.name}: {result.target.description}", title_justify="left")
    table.add_column("holds", justify="right")
    table.add_column("what")
    table.add_column("set by", style="dim")
    for line in capacity_of(result.target):
        table.add_row(f"{line.number:,}", line.what, line.limited_by)
    console.print(table)
    megabytes = connection_memory(result.target) / 1e6
    console.print(f"connection registers: {megabytes:,.1f} MB")
