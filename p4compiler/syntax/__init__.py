"""Preprocessor, lexer, parser and the abstract syntax tree of P4_16.

`parse_file` is the whole of it for the later phases: a path in, a tree out, everything wrong told to the diagnostics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from p4compiler.nesting import room_for_nesting

if TYPE_CHECKING:
    from p4compiler.diagnostics import Diagnostics
    from p4compiler.syntax import ast


@room_for_nesting()
def parse_file(
    path: str,
    include_dirs: Sequence[str],
    defines: Sequence[str],
    diagnostics: Diagnostics,
    undefines: Sequence[str] = (),
) -> ast.Program:
    """Preprocess and parse the program in `path`.

    Args:
        path: the P4 source.
        include_dirs: searched for `#include`, in order, before the built-in folder with core.p4 and v1model.p4.
        defines: macros as `-D` takes them: `NAME` or `NAME=VALUE`.
        diagnostics: takes every error; the tree then holds what could be understood.
        undefines: macros that are removed again after `defines`, as `-U` does.
    """
    from p4compiler.collector import without_collection
    from p4compiler.syntax.parser import parse_tokens
    from p4compiler.syntax.preprocessor import Preprocessor

    with without_collection():
        preprocessor = Preprocessor(include_dirs, diagnostics)
        preprocessor.define_all(defines, undefines)
        return parse_tokens(preprocessor.run(path), diagnostics)
