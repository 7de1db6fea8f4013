"""The warnings of this analysis, each place once."""

from __future__ import annotations

from p4compiler.diagnostics import Diagnostics, Kind, Note
from p4compiler.source import Span
from p4compiler.syntax import ast

MAX_NAMED = 3
"""So many fields are named in a message."""
MAX_TEXT = 60
KINDS = (
    Kind.UNINITIALIZED,
    Kind.UNINITIALIZED_USE,
    Kind.UNINITIALIZED_OUT_PARAM,
    Kind.INVALID_HEADER,
    Kind.MULTIPLE_EXTRACTIONS,
)


class Reports:
    """`quiet` is positive while a loop is followed whose states are not final yet: nothing is said then."""

    def __init__(self, diagnostics: Diagnostics) -> None:
        self.quiet = 0
        self._diagnostics = diagnostics
        self._said: set[tuple[Kind, int, int]] = set()

    def unset(self, expression: ast.Expression, parts: list[str], declaration: ast.Declaration | None) -> None:
        """A value is used that has not been assigned on every path, or of whose fields that holds for `parts`."""
        if self.quiet:
            return
        name = _text(expression)
        if parts:
            more = ", …" if len(parts) > MAX_NAMED else ""
            message = f"'{name}' may be used before it is set completely: {', '.join(parts[:MAX_NAMED])}{more}"
        else:
            message = f"'{name}' may be used before it is set"
        self._warn(Kind.UNINITIALIZED_USE, message, expression.span, _declared(declaration))

    def unset_output(self, parameter: ast.Parameter, owner: ast.Declaration) -> None:
        """A path ends that leaves an `out` parameter without a value."""
        if not self.quiet:
            message = f"out parameter '{parameter.name.text}' may not be set when '{owner.name.text}' ends"
            self._warn(Kind.UNINITIALIZED_OUT_PARAM, message, parameter.name.span, ())

    def invalid_header(self, header: ast.Expression, surely: bool) -> None:
        if not self.quiet:
            message = f"header '{_text(header)}' {'is' if surely else 'may be'} invalid where its field is used"
            self._warn(Kind.INVALID_HEADER, message, header.span, ())

    def extracted_again(self, call: ast.Call, surely: bool) -> None:
        """A header is extracted that is valid on some path: what it held before is lost."""
        if not self.quiet:
            header = _text(call.arguments[0].value)
            message = f"header '{header}' {'is' if surely else 'may be'} valid already where it is extracted: its values are lost"
            self._warn(Kind.MULTIPLE_EXTRACTIONS, message, call.span, ())

    def next_element(self, expression: ast.Expression) -> None:
        """The value of `stack.next` is used, which is there to be extracted to."""
        if not self.quiet:
            self._warn(Kind.UNINITIALIZED, f"'{_text(expression)}' has no value yet", expression.span, ())

    def _warn(self, kind: Kind, message: str, span: Span, notes: tuple[Note, ...]) -> None:
        key = (kind, id(span.file), span.start)
        if key not in self._said:
            self._said.add(key)
            self._diagnostics.warning(kind, message, span, notes)


def _declared(declaration: ast.Declaration | None) -> tuple[Note, ...]:
    if declaration is None:
        return ()
    if isinstance(declaration, ast.Parameter):
        return (Note("an out parameter has no value at first", declaration.name.span),)
    return (Note("declared here, without a value", declaration.name.span),)


def _text(expression: ast.Expression) -> str:
    """As it is written, on one line."""
    text = " ".join(expression.span.text.split())
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…"
