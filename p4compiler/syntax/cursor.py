"""The parser's place in the token arrays, its scopes of declared names, and how it reports and survives errors."""

from __future__ import annotations

from typing import NoReturn

from p4compiler.diagnostics import Diagnostics, Kind, Note
from p4compiler.source import Span
from p4compiler.syntax import ast
from p4compiler.syntax.tokens import BAD, END, INTEGER, NAME, STRING, Tokens

SOFT_KEYWORDS = frozenset(("actions", "apply", "entries", "key", "priority", "state", "type"))
"""Keywords that are also ordinary names."""

NAME_KINDS = SOFT_KEYWORDS | {NAME, "list"}
"""What may stand where the grammar says `name`."""

VALUE_NAME_KINDS = SOFT_KEYWORDS | {NAME}
"""What may stand where the grammar says `nonTypeName`."""

BASE_TYPES = frozenset(("bit", "int", "varbit", "bool", "error", "match_kind", "string", "tuple", "list"))

MAX_DEPTH = 400
"""How deeply expressions, types, statements and brackets may be nested."""

MAX_CHAIN = 4000
"""How many operands a chain like a + b + c … may have (it becomes a tree as deep as the chain is long)."""


class SyntaxAbort(Exception):
    """The construct at hand cannot be parsed; the error was reported. Caught where parsing can go on."""


class Cursor:
    """Reads tokens one after the other.

    Attributes:
        at: the index of the next token.
        scopes: for each open scope the names declared in it: True for a type, False for anything else. P4's grammar needs
            to know which names are types.
    """

    def __init__(self, tokens: Tokens, diagnostics: Diagnostics) -> None:
        self.tokens = tokens
        self.kinds = tokens.kinds
        self.texts = tokens.texts
        self.span_between = tokens.span_between
        self.diagnostics = diagnostics
        self.at = 0
        self.depth = 0
        self.scopes: list[dict[str, bool]] = [{}]

    # -- tokens

    def accept(self, kind: str) -> bool:
        """Step over the next token if it is of that kind."""
        if self.kinds[self.at] == kind:
            self.at += 1
            return True
        return False

    def expect(self, kind: str, after: str = "") -> int:
        """Step over a token that must be of that kind; returns its index.

        A missing `;` is reported and read as if it stood there, where what follows shows that something has ended.
        """
        at = self.at
        if self.kinds[at] != kind:
            if kind == ";" and self._misses_semicolon():
                return at
            self.fail_expected(f"'{kind}'", after)
        self.at = at + 1
        return at

    def expect_name(self, what: str = "a name") -> ast.Name:
        at = self.at
        if self.kinds[at] not in NAME_KINDS:
            self.fail_expected(what)
        self.at = at + 1
        return ast.Name(self.tokens.span(at), self.texts[at])

    def span_from(self, first: int) -> Span:
        """From token `first` to the token just read."""
        return self.span_between(first, max(first, self.at - 1))

    # -- scopes

    def declare_type(self, name: str) -> None:
        self.scopes[-1][name] = True

    def declare_value(self, name: str) -> None:
        self.scopes[-1][name] = False

    def is_type_name(self, at: int) -> bool:
        """The name at token `at` is known as a type."""
        text = self.texts[at]
        for scope in reversed(self.scopes):
            known = scope.get(text)
            if known is not None:
                return known
        return False

    def is_known(self, at: int) -> bool:
        """Something with the name at token `at` was declared before it."""
        text = self.texts[at]
        return any(text in scope for scope in self.scopes)

    # -- errors

    def describe(self, at: int) -> str:
        kind = self.kinds[at]
        if kind == END:
            return "the end of the file"
        text = self.texts[at]
        if len(text) > 40:
            text = text[:40] + "…"
        if kind == INTEGER:
            return f"number '{text}'"
        if kind == STRING:
            return f"string {text}"
        return f"'{text}'"

    def fail(self, message: str, at: int | None = None, notes: tuple[Note, ...] = ()) -> NoReturn:
        """Report a syntax error at token `at` (the next one) and give the construct up."""
        at = self.at if at is None else at
        if self.kinds[at] == BAD:
            message = self.bad_token(at)
        self.diagnostics.error(Kind.SYNTAX_ERROR, message, self.tokens.span(at), notes)
        raise SyntaxAbort

    def fail_expected(self, what: str, after: str = "", notes: tuple[Note, ...] = ()) -> NoReturn:
        suffix = f" {after}" if after else ""
        self.fail(f"expected {what}{suffix}, found {self.describe(self.at)}", notes=notes)

    def _misses_semicolon(self) -> bool:
        """Report a missing `;` at the end of a line or block; False, and nothing is said, elsewhere."""
        at = self.at
        kind = self.kinds[at]
        if kind in (BAD, END) or not at:
            return False
        # Its place is behind what should have ended, not at the next line's start.
        previous, found = self.tokens.span(at - 1), self.tokens.span(at)
        if previous.file is not found.file or previous.position.line < found.position.line:
            end = Span(previous.file, previous.end, previous.end, previous.expansion)
            self.diagnostics.error(Kind.SYNTAX_ERROR, f"expected ';' before {self.describe(at)}", end)
            return True
        if kind == "}":
            self.diagnostics.error(Kind.SYNTAX_ERROR, f"expected ';', found {self.describe(at)}", found)
        return kind == "}"

    def skip_to_closing(self) -> None:
        """Go to the `}` that closes the block at hand, or the end."""
        depth = 0
        while (kind := self.kinds[self.at]) != END and not (kind == "}" and depth == 0):
            depth += (kind == "{") - (kind == "}")
            self.at += 1

    def bad_token(self, at: int) -> str:
        text = self.texts[at]
        if text == "/*":
            return "this comment has no end"
        if text == '"':
            return "this string has no end"
        return f"unexpected character '{text}'" if text.isprintable() else f"unexpected character U+{ord(text[0]):04X}"

    def enter(self) -> None:
        """One level deeper; the caller leaves with `self.depth -= 1`."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.diagnostics.error(
                Kind.OVERLIMIT, f"nested more than {MAX_DEPTH} levels deep", self.tokens.span(self.at)
            )
            self.at = len(self.kinds) - 1
            raise SyntaxAbort

    def recover(self, first: int, inside: bool) -> None:
        """After an error in the construct that began at token `first`: go on behind the next `;` or closed `{}`.

        `inside` a block the `}` that closes the block itself is not stepped over; at the top the keywords that can only
        start a declaration end the search as well.
        """
        kinds = self.kinds
        if self.at == first and kinds[first] not in (END, "}"):
            self.at += 1
        depth = 0
        while (kind := kinds[self.at]) != END:
            if kind == "{":
                depth += 1
            elif kind == "}":
                if depth == 0 and inside:
                    return
                depth -= 1
                if depth <= 0:
                    self.at += 1
                    self.accept(";")
                    return
            elif kind == ";" and depth <= 0:
                self.at += 1
                return
            elif not inside and kind in TOP_KEYWORDS and kinds[self.at - 1] in (";", "}", ")", END):
                return
            self.at += 1


TOP_KEYWORDS = frozenset(
    ("control", "parser", "struct", "header", "header_union", "typedef", "extern", "package", "enum", "match_kind")
)
