"""The source lines under a message, with carets below the place."""

from __future__ import annotations

from p4compiler.source import SourceFile, Span

MAX_WIDTH = 160
"""A source line wider than this is shown in part, around the place."""
MAX_LINES = 4
"""Of a place with more lines than this, the first and the last ones are shown."""
TAB = 4


def excerpt(span: Span) -> list[str]:
    """Each of the span's lines, and a line of carets below it."""
    file = span.file
    first = span.position
    # A span that ends behind a line's end does not go on in the next line.
    end = file.position(max(span.start, span.end - 1))
    numbers = range(first.line, end.line + 1)
    if len(numbers) == 1 and not file.line(first.line).strip():
        return []  # behind the end of the file
    lines: list[str] = []
    for number in numbers:
        if len(numbers) > MAX_LINES and MAX_LINES - 2 <= number - first.line < len(numbers) - 1:
            if number - first.line == MAX_LINES - 2:
                lines.append("  …")
            continue
        text = file.line(number)
        start = first.column - 1 if number == first.line else len(text) - len(text.lstrip())
        stop = end.column if number == end.line else len(text.rstrip())
        lines += _marked(text, start, max(stop, start + 1))
    return lines


def include_chain(file: SourceFile) -> list[str]:
    """Where the file is included, and where the file that does it is, a few steps up."""
    lines: list[str] = []
    at = file.included_at
    while at is not None and len(lines) < MAX_LINES:
        lines.append(f"  = {'included' if not lines else 'which is included'} at {at}")
        at = at.file.included_at
    return lines


def _marked(text: str, start: int, stop: int) -> list[str]:
    """A line of source with carets from `start` to `stop` (offsets in the line)."""
    shown, columns = _shown(text)
    first = columns[min(start, len(text))] + max(0, start - len(text))
    last = max(first + 1, columns[min(stop, len(text))])
    if columns[-1] > MAX_WIDTH:
        # Cells of the screen and characters are the same here: a line with wide characters is cut a little elsewhere.
        shift = max(0, first - MAX_WIDTH // 3)
        shown, first = shown[shift : shift + MAX_WIDTH], first - shift
        last = min(last - shift, MAX_WIDTH)
    return [f"  {shown}".rstrip(), f"  {' ' * first}{'^' * max(1, last - first)}"]


def _shown(text: str) -> tuple[str, list[int]]:
    """The text as a terminal shows it, tabs expanded, and the column at which each character starts (and the end)."""
    if text.isascii() and text.isprintable():
        return text, list(range(len(text) + 1))
    parts: list[str] = []
    columns: list[int] = []
    column = 0
    for character in text:
        columns.append(column)
        if character == "\t":
            width = TAB - column % TAB
            parts.append(" " * width)
        elif character.isprintable():
            width = _width(character)
            parts.append(character)
        else:
            width = 1
            parts.append("?")
        column += width
    columns.append(column)
    return "".join(parts), columns


def _width(character: str) -> int:
    """The cells that a character takes: two for the wide ones of East Asia and for emoji, none for combining marks."""
    if character.isascii():
        return 1
    import unicodedata  # only where a program needs it: it takes time to load

    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
