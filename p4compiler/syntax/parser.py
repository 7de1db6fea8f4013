"""The parser's entry: tokens in, tree out."""

from __future__ import annotations

from p4compiler.diagnostics import Diagnostics
from p4compiler.nesting import room_for_nesting
from p4compiler.source import Span
from p4compiler.syntax import ast
from p4compiler.syntax.declarations import DeclarationParser
from p4compiler.syntax.tokens import Tokens


@room_for_nesting()
def parse_tokens(tokens: Tokens, diagnostics: Diagnostics) -> ast.Program:
    """The tree of a preprocessed program (P4_16 1.2.5, appendix G).

    A syntax error is reported and parsing goes on behind it; what could not be understood is missing from the tree.
    """
    parser = DeclarationParser(tokens, diagnostics)
    declarations = parser.program()
    end = tokens.span(len(tokens.kinds) - 1)
    return ast.Program(Span(end.file, 0, end.end), tuple(declarations))
