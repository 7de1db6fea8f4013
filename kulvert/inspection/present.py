"""How things are shown: as a table for people, or as JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

_WIDE = 200


def make_console() -> Console:
    """Standard output; where it is no terminal, wide enough for any table."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=_WIDE)


def print_json(value: Any) -> None:
    """One JSON document, indented."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def print_json_list(values: Iterable[Any]) -> None:
    """One JSON document, a list, an item a line, each written as soon as it is there."""
    separator = "[\n "
    for value in values:
        sys.stdout.write(separator + msgspec.json.encode(value).decode())
        separator = ",\n "
    sys.stdout.write("[]\n" if separator.startswith("[") else "\n]\n")


def print_table(
    console: Console, title: str, headings: Sequence[str], rows: Iterable[Sequence[object]], right: Sequence[int] = ()
) -> None:
    """A table; the columns in `right` are numbers."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(item)) for item in row))
    console.print(table)
