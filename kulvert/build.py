"""Build the P4 pipeline of a target: render the sizes, choose a compiler, compile, check and tell the capacity.

    result = build("native", output_dir=Path("build/native"), compiler="auto")
    result.bmv2_json, result.p4info          # the artifacts
    print_capacity(result, Console())        # the table of what the pipeline holds

`build` raises BuildError with one printable message (and the compiler's own diagnostics in `.diagnostics`); nothing
is printed by `build` itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kulvert.targets import CompilerName, Target

if TYPE_CHECKING:
    from rich.console import Console

CompilerChoice = Literal["auto", "kulvert", "p4c"]


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
        output_dir: the folder of everything below.
        bmv2_json: the BMv2 JSON.
        p4info: the P4Info in protobuf text format.
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
    target: str | Target, output_dir: Path | None = None, compiler: CompilerChoice = "auto"
) -> BuildResult:
    """Build `target` (a name, a path of a target file, or a loaded Target) into `output_dir` (default `build/<name>`).

    Raises:
        BuildError: the target file is wrong, no compiler is installed, the profile cannot work or the P4 is refused.
    """
    raise BuildError("building the pipeline is not there yet")


def print_capacity(result: BuildResult, console: Console) -> None:
    """Print what the pipeline holds."""
