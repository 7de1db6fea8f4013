"""Source files and places in them. The leaf of the compiler: everything else may import this."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple


class Position(NamedTuple):
    """A place for people: 1-based line and column (a tab is one column)."""

    line: int
    column: int


@dataclass(eq=False)
class SourceFile:
    """One file as it was read: the path as the user would write it, and the whole text."""

    path: str
    text: str = field(repr=False)
    system: bool = False
    """Found on the system include path (core.p4, v1model.p4): no warnings about it."""
    line_offset: int = 0
    """What `#line` adds to the numbers of lines."""
    included_at: Span | None = field(default=None, repr=False)
    """The `#include` that brought it in first."""

    @cached_property
    def line_starts(self) -> list[int]:
        """The offset of each line's first character."""
        starts = [0]
        find = self.text.find
        at = find("\n")
        while at >= 0:
            starts.append(at + 1)
            at = find("\n", at + 1)
        return starts

    def position(self, offset: int) -> Position:
        line = bisect_right(self.line_starts, offset)
        return Position(line + self.line_offset, offset - self.line_starts[line - 1] + 1)

    def line(self, number: int) -> str:
        """The text of the line that `position` calls `number`, without its line end."""
        start = self.line_starts[number - self.line_offset - 1]
        end = self.text.find("\n", start)
        return self.text[start : end if end >= 0 else len(self.text)].rstrip("\r")


@dataclass(slots=True, eq=False)
class Span:
    """The half-open range [start, end) of character offsets in one file."""

    file: SourceFile
    start: int
    end: int
    expansion: Span | None = field(default=None, repr=False)
    """Where the text stands in a macro's definition, when the span itself is the macro's use."""

    def to(self, other: Span) -> Span:
        """From the start of this span to the end of `other`; this span alone if they are in different files."""
        if other.file is not self.file or other.end < self.start:
            return self
        return Span(self.file, self.start, other.end)

    def first(self, length: int) -> Span:
        """The beginning of this span: a statement's keyword."""
        return Span(self.file, self.start, min(self.end, self.start + length), self.expansion)

    @property
    def position(self) -> Position:
        return self.file.position(self.start)

    @property
    def text(self) -> str:
        return self.file.text[self.start : self.end]

    def __str__(self) -> str:
        line, column = self.position
        return f"{self.file.path}:{line}:{column}"
