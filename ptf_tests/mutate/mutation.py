"""A mutation: one edit that breaks a row, and the tests of which one has to fail then."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutation:
    """An edit of one file. `rows` are the rows that it breaks; `tests` are those that may notice.

    The edit replaces a text that is there exactly once. A test is `STAGE.Test` of `ptf_tests/stages`, or `pytest:FILE`.
    """

    name: str
    rows: tuple[str, ...]
    path: str
    old: str
    new: str
    tests: tuple[str, ...]


def mutation(rows: str | tuple[str, ...], path: str, name: str, old: str, new: str, *tests: str) -> Mutation:
    """A mutation of one row or several."""
    return Mutation(name, (rows,) if isinstance(rows, str) else rows, path, old, new, tests)
