"""Diagnostics: how they look, are counted, silenced and promoted."""

from __future__ import annotations

import pytest

from p4compiler.diagnostics import Diagnostics, Kind, Note, Severity
from p4compiler.excerpts import excerpt
from p4compiler.source import SourceFile, Span

FILE = SourceFile("a.p4", "first line\n\tsecond = 1;\n")
SECOND = Span(FILE, FILE.text.index("second"), FILE.text.index("second") + 6)


def test_rendering_shows_the_line_and_carets() -> None:
    diagnostics = Diagnostics()
    diagnostics.error(Kind.TYPE_ERROR, "no good", SECOND, [Note("see", Span(FILE, 0, 5)), Note("a hint")])
    assert diagnostics.render().split("\n") == [
        "a.p4:2:2: error[type-error]: no good",
        "      second = 1;",
        "      ^^^^^^",
        "a.p4:1:1: note: see",
        "  first line",
        "  ^^^^^",
        "  = a hint",
    ]


def test_a_macros_definition_is_shown_too() -> None:
    diagnostics = Diagnostics()
    diagnostics.error(Kind.SYNTAX_ERROR, "bad", Span(FILE, 0, 5, SECOND))
    assert "a.p4:2:2: note: expanded from this macro" in diagnostics.render()


def test_long_lines_are_cut_around_the_place() -> None:
    file = SourceFile("b.p4", "x" * 1000 + "HERE" + "y" * 1000)
    diagnostics = Diagnostics()
    diagnostics.error(Kind.SYNTAX_ERROR, "bad", Span(file, 1000, 1004))
    _, line, carets = diagnostics.render().split("\n")
    assert len(line) < 200
    assert line[carets.index("^") : carets.rindex("^") + 1] == "HERE"


@pytest.mark.parametrize(
    ("text", "place", "shown"),
    [
        ("a\tb = c;", "b", ["a   b = c;", "    ^"]),
        ("\t\tb", "b", ["        b", "        ^"]),
        ("/* 表示 */ b", "b", ["/* 表示 */ b", "           ^"]),
        ("表示", "示", ["表示", "  ^^"]),
        ("e\u0301 b", "b", ["e\u0301 b", "  ^"]),
        ("a\x07b", "b", ["a?b", "  ^"]),
        ("f(1,\n  2,  \n  3) + 4", "f(1,\n  2,  \n  3)", ["f(1,", "^^^^", "  2,", "  ^^", "  3) + 4", "  ^^"]),
        ("x { 1\n2\n3\n4\n5\n6 } y", "{ 1\n2\n3\n4\n5\n6 }",
         ["x { 1", "  ^^^", "2", "^", "…", "6 } y", "^^^"]),
        ("a;\nb", "a;\n", ["a;", "^^"]),
        ("a", "", ["a", "^"]),
    ],
)  # fmt: skip
def test_carets_are_under_the_whole_place(text: str, place: str, shown: list[str]) -> None:
    file = SourceFile("c.p4", text)
    start = text.index(place)
    assert [line[2:] for line in excerpt(Span(file, start, start + len(place)))] == shown


def test_the_end_of_a_file_can_be_shown() -> None:
    file = SourceFile("c.p4", "a\n")
    assert excerpt(Span(file, 2, 2)) == []


def test_an_included_file_says_where() -> None:
    outer = SourceFile("outer.p4", '#include "middle.p4"\n')
    middle = SourceFile("middle.p4", '\n#include "inner.p4"\n', included_at=Span(outer, 0, 20))
    inner = SourceFile("inner.p4", "wrong", included_at=Span(middle, 1, 20))
    diagnostics = Diagnostics()
    diagnostics.error(Kind.SYNTAX_ERROR, "bad", Span(inner, 0, 5))
    assert diagnostics.render().split("\n")[-2:] == [
        "  = included at middle.p4:2:1",
        "  = which is included at outer.p4:1:1",
    ]


def test_warnings_are_silenced_and_promoted_by_kind() -> None:
    diagnostics = Diagnostics(severities={Kind.UNUSED: None, Kind.SHADOW: Severity.ERROR, Kind.KEYS: Severity.INFO})
    for kind in (Kind.UNUSED, Kind.SHADOW, Kind.OVERFLOW, Kind.KEYS):
        diagnostics.warning(kind, "w", SECOND)
    assert [(e.severity.value, e.kind) for e in diagnostics.entries] == [
        ("error", Kind.SHADOW),
        ("warning", Kind.OVERFLOW),
        ("info", Kind.KEYS),
    ]
    assert diagnostics.summary() == "1 error and 1 warning"


def test_system_files_are_not_warned_about() -> None:
    diagnostics = Diagnostics()
    diagnostics.warning(Kind.UNUSED, "w", Span(SourceFile("core.p4", "x", system=True), 0, 1))
    assert diagnostics.entries == []


def test_the_same_is_said_once_and_the_number_is_limited() -> None:
    diagnostics = Diagnostics(limit=3)
    for _ in range(5):
        diagnostics.error(Kind.INVALID, "same", SECOND)
    assert diagnostics.error_count == 1
    for number in range(9):
        diagnostics.error(Kind.INVALID, str(number), SECOND)
    assert diagnostics.full
    assert len(diagnostics.errors) == 3
    assert "7 more are not shown" in diagnostics.render()
