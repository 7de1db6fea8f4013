"""The preprocessor: macros, conditionals, includes, places, limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from p4compiler.diagnostics import Diagnostics, Kind
from p4compiler.source import SourceFile
from p4compiler.syntax.preprocessor import Preprocessor, render
from p4compiler.syntax.tokens import Tokens


def run(text: str, *defines: str) -> tuple[Tokens, Diagnostics]:
    diagnostics = Diagnostics()
    preprocessor = Preprocessor([], diagnostics)
    preprocessor.define_all(defines)
    return preprocessor.run_text(SourceFile("test.p4", text)), diagnostics


def words(text: str, *defines: str) -> str:
    tokens, diagnostics = run(text, *defines)
    assert not diagnostics.has_errors, diagnostics.render()
    return " ".join(tokens.texts[:-1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#define A 1 + 2\nA * A", "1 + 2 * 1 + 2"),
        ("#define F(x, y) y x\nF(1, (2, 3)) F", "( 2 , 3 ) 1 F"),
        ("#define F() 7\nF() F( )", "7 7"),
        ('#define S(x) #x\nS(a  +  "b\\n")', '"a + \\"b\\\\n\\""'),
        ("#define C(a, b) a##b a ## 1\nC(x, 2)", "x2 x1"),
        ("#define V(f, ...) f(__VA_ARGS__)\nV(g, 1, 2) V(g)", "g ( 1 , 2 ) g ( )"),
        ("#define V(f, ...) f(0, ## __VA_ARGS__)\nV(g, 1) V(g)", "g ( 0 , 1 ) g ( 0 )"),
        ("#define A B\n#define B A\nA B", "A B"),
        ("#define F(x) x F\nF(1)(2)", "1 F ( 2 )"),
        ("#define X 1\n#define F(x) x ## 0 x\nF(X)", "X0 1"),
        ("#define C(a, b) a##b\nC(hdr., h).C(v, alid)", "hdr . h . valid"),
        ("#define A 1\\\n  + 2 // not this\nA", "1 + 2"),
        ("#define A 1 /* over\n two lines */ + 2\nA", "1 + 2"),
        ("#define A 1\n#undef A\nA", "A"),
        ("__LINE__\n#define L __LINE__\n\nL __FILE__", '1 4 "test.p4"'),
        ('"A // no comment" /* A */ A', '"A // no comment" A'),
        ("a # b {#}", "a # b {#}"),
    ],
)
def test_macros(text: str, expected: str) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("condition", "taken"),
    [
        ("1", True),
        ("A", True),
        ("B", False),
        ("defined A && !defined(B)", True),
        ("A == 3 || 1 / 0", True),
        ("(A + 1) * 2 == 8", True),
        ("A > 2 ? 0 : 1", False),
        ("0x10 >> 2 == 4", True),
        ("-1 < 0 && ~0 == -1", True),
        ("017 == 15 && 10u == 10", True),
        ("-7 / 2 == -3 && -7 % 2 == -1", True),
        ("'a' == 97", True),
    ],
)
def test_conditions(condition: str, taken: bool) -> None:
    assert words(f"#if {condition}\nyes\n#else\nno\n#endif", "A=3") == ("yes" if taken else "no")


def test_nested_conditionals_and_comments_in_what_is_skipped() -> None:
    text = """#ifdef NO
#if 1
a
#else
b
#endif
/*
#endif
*/
"
#endif
" // " no string
#elif 0
c
#elif 1
d
#ifndef NO
e
#endif
#elif 1
f
#else
g
#endif
h"""
    text = text.replace('"\n#endif\n" // " no string\n', "// #endif\n")
    assert words(text) == "d e h"


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a\n#if 1\nb", 2, 1, "no #endif"),
        ("#endif", 1, 1, "without #if"),
        ("#else", 1, 1, "without #if"),
        ("#if 1\n#else\n#else\n#endif", 3, 1, "after #else"),
        ("#if 0\n#else\n#elif 1\n#endif", 3, 1, "without #if"),
        ("#if (1\n#endif", 1, 6, "expected ')'"),
        ("#if 1 / 0\n#endif", 1, 7, "division by zero"),
        ("#if\n#endif", 1, 1, "needs a condition"),
        ("x\n  #error stop here", 2, 3, "stop here"),
        ("#define 1", 1, 9, "needs a name"),
        ("#define F(x, x) 1", 1, 9, "not well formed"),
        ("#define F(x) x\nF(1, 2)", 2, 1, "takes 1 argument"),
        ("#define F(x) x\n  F(1", 2, 3, "no closing"),
        ('#include "no-such-file.p4"', 1, 1, "not found"),
        ("#include x", 1, 1, "needs"),
    ],
)
def test_errors_and_their_places(text: str, line: int, column: int, message: str) -> None:
    _, diagnostics = run(text)
    error = diagnostics.errors[0]
    assert error.span is not None
    assert (error.span.position.line, error.span.position.column) == (line, column)
    assert message in error.message


def test_a_word_may_go_on_in_the_next_line() -> None:
    """After a backslash, in a macro's name, in its body and in its use; a blank in front of it still parts words."""
    text = "#define LONG_\\\nNAME \\\n a\\\nb c\\\n d\nLONG_NAME LON\\\nG_NA\\\nME x"
    assert words(text) == "ab c d ab c d x"


def test_an_unknown_directive_is_left_out() -> None:
    """A line that somebody commented out with a `#` is no error, as in p4c."""
    tokens, diagnostics = run("a\n#TODO it's (b\n  # c\nd")
    assert tokens.texts[:-1] == ["a", "d"]
    assert not diagnostics.errors
    assert [(w.kind, w.span.position.line) for w in diagnostics.warnings if w.span] == [
        (Kind.IGNORE, 2),
        (Kind.IGNORE, 3),
    ]


def test_a_macros_use_and_definition_are_both_known() -> None:
    tokens, _ = run("#define TWO 1 + 1\nx = TWO ;")
    plus = tokens.texts.index("+")
    span = tokens.span(plus)
    assert (span.position.line, span.position.column, span.text) == (2, 5, "TWO")
    assert span.expansion is not None
    assert (span.expansion.position.line, span.expansion.position.column) == (1, 15)


def test_arguments_keep_their_own_place() -> None:
    tokens, _ = run("#define F(x) (x)\n  F(abc)")
    span = tokens.span(tokens.texts.index("abc"))
    assert (span.position, span.expansion) == ((2, 5), None)


def test_line_directives_change_what_is_shown() -> None:
    tokens, _ = run('a\n#line 70 "other.p4"\nb\n# 5 "third.p4" 1\nc')
    places = [str(tokens.span(index)) for index in range(3)]
    assert places == ["test.p4:1:1", "other.p4:70:1", "third.p4:5:1"]


def test_includes_are_searched_beside_the_file_then_in_the_folders(tmp_path: Path) -> None:
    (tmp_path / "inc").mkdir()
    (tmp_path / "main.p4").write_text('#include "near.p4"\n#include <far.p4>\n#include <core.p4>\nlast')
    (tmp_path / "near.p4").write_text("near")
    (tmp_path / "inc" / "far.p4").write_text('#pragma once\nfar\n#include "far.p4"\n')
    diagnostics = Diagnostics()
    tokens = Preprocessor([str(tmp_path / "inc")], diagnostics).run(str(tmp_path / "main.p4"))
    assert not diagnostics.has_errors
    assert tokens.texts[:3] == ["near", "far", "error"]
    assert tokens.files[2].system
    assert not tokens.files[1].system
    assert tokens.texts[-2] == "last"


def test_an_include_cycle_ends_in_one_error(tmp_path: Path) -> None:
    (tmp_path / "a.p4").write_text('#include "b.p4"\n')
    (tmp_path / "b.p4").write_text('x\n#include "a.p4"\n')
    diagnostics = Diagnostics()
    Preprocessor([], diagnostics).run(str(tmp_path / "a.p4"))
    assert [error.kind.value for error in diagnostics.errors] == ["overlimit"]
    assert "includes itself" in diagnostics.errors[0].message


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"\x00\x01", "not a text file"), (b"x " * 1_500_000, "too large"), (None, "cannot read")],
)
def test_files_that_are_no_programs(tmp_path: Path, data: bytes | None, message: str) -> None:
    path = tmp_path / "x.p4"
    if data is not None:
        path.write_bytes(data)
    diagnostics = Diagnostics()
    Preprocessor([], diagnostics).run(str(path))
    assert message in diagnostics.errors[0].message


def test_a_macro_bomb_is_defused() -> None:
    text = "#define A0 x x x x x x x x x x\n"
    text += "".join(f"#define A{n + 1} {' '.join([f'A{n}'] * 10)}\n" for n in range(9))
    _, diagnostics = run(text + "A9")
    assert [error.kind.value for error in diagnostics.errors] == ["overlimit"]


def test_the_preprocessed_text_can_be_preprocessed_again() -> None:
    tokens, _ = run("#define A 1\n\nint x = A;\n\n\n\n\n\n\n\n\n\n\ny(A)")
    text = render(tokens)
    again, diagnostics = run(text)
    assert not diagnostics.has_errors
    assert again.texts == tokens.texts
    assert [again.span(i).position.line for i in range(len(again.texts) - 1)] == [
        tokens.span(i).position.line for i in range(len(tokens.texts) - 1)
    ]
