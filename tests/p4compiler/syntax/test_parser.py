"""The parser: the tree it builds, its errors and how it goes on behind them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4compiler.source import SourceFile, Span
from p4compiler.syntax import ast
from p4compiler.syntax.printer import print_expression, print_program
from tests.p4compiler.front_end import error_places, parse, places

GOLDENS = Path(__file__).parent / "goldens"


@pytest.mark.parametrize("source", sorted(GOLDENS.glob("*.p4")), ids=lambda path: path.stem)
def test_goldens(source: Path, compare_golden: Callable[[Path, str], None]) -> None:
    """Each file's tree, printed; and printing is stable."""
    program, diagnostics = parse(source.read_text(encoding="utf-8"))
    assert not diagnostics.has_errors, diagnostics.render()
    printed = print_program(program)
    compare_golden(source.with_suffix(".printed"), printed)
    again, diagnostics = parse(printed)
    assert not diagnostics.has_errors, diagnostics.render()
    assert print_program(again) == printed


def expression(text: str, declared: str = "") -> str:
    """The canonical form of an expression, after some declarations."""
    program, diagnostics = parse(f"{declared}\nconst int x = {text};")
    assert not diagnostics.has_errors, diagnostics.render()
    constant = program.declarations[-1]
    assert isinstance(constant, ast.Constant)
    return print_expression(constant.value)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("a + b * c", "a + (b * c)"),
        ("a - b - c", "(a - b) - c"),
        ("a & b == c", "(a & b) == c"),
        ("a | b ^ c & d", "a | (b ^ (c & d))"),
        ("a << b + c", "a << (b + c)"),
        ("a ++ b + c |+| d", "((a ++ b) + c) |+| d"),
        ("a && b || c && d", "(a && b) || (c && d)"),
        ("a < b == c > d", "(a < b) == (c > d)"),
        ("a >> b >= c", "(a >> b) >= c"),
        ("a ? b : c ? d : e", "a ? b : (c ? d : e)"),
        ("-a.b[1][3:0]", "-a.b[1][3:0]"),
        ("a[x +: 4]", "a[x +: 4]"),
        ("!a && ~b == c", "(!a) && ((~b) == c)"),
        ("(bit<8>)a + b", "((bit<8>)a) + b"),
        ("(bit<8>)(a + b)", "(bit<8>)(a + b)"),
        ("(a) + b", "a + b"),
        ("{ a, { b }, }", "{ a, { b } }"),
        ("{ a = 1, b = { c = 2, ... } }", "{ a = 1, b = { c = 2, ... } }"),
        ("f(a, _)", "f(a, _)"),
        ("f<bit<8>, _>(x = 1)", "f<bit<8>, _>(x = 1)"),
        ("a < b", "a < b"),
        ("error.NoError", "error.NoError"),
        (".a.b", ".a.b"),
        ("8w0x_ff + 4s0b1_0 + 0o17", "(8w0xff + 4s0b10) + 0o17"),
        ('"a\\"b" ++ "c"', '"a\\"b" ++ "c"'),
        ("a.apply().hit", "a.apply().hit"),
        ("b >> 1 >> 2", "(b >> 1) >> 2"),
    ],
)
def test_expressions(text: str, canonical: str) -> None:
    assert expression(text) == canonical


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("(T)x", "(T)x"),
        ("(T)-x", "(T)(-x)"),
        ("(v)-x", "v - x"),
        ("T(1)", "T(1)"),
        ("G<T>(1)", "G<T>(1)"),
        ("f<T>(x)", "f<T>(x)"),
        ("f<G<bit<8>>>(x)", "f<G<bit<8>>>(x)"),
        ("v < T.a", "v < T.a"),
        ("T.a", "T.a"),
    ],
)
def test_whether_a_name_is_a_type_decides(text: str, canonical: str) -> None:
    assert expression(text, "struct T { } extern G<X> { G(int i); } const int v = 1;") == canonical


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("const int x = 1§\nconst int y = 2;", "syntax-error"),
        ("const int x = §;", "syntax-error"),
        ("struct S { bit<8 §x; }", "syntax-error"),
        ("control c() { apply { x §+ y; } }", "syntax-error"),
        ("control c() { apply { if §x { } } }", "syntax-error"),
        ("parser p() { state start { transition §; } }", "syntax-error"),
        ("control c() { table t { actions §{ } } apply { } }", "syntax-error"),
        ("control c() { table §t { key = { } } apply { } }", "expected"),
        ("control c() { table t { actions = { } §actions = { } } apply { } }", "duplicate"),
        ("const int x = §'a';", "syntax-error"),
        ("const int x = §0x;", "syntax-error"),
        ("const int x = §12ab;", "syntax-error"),
        ('const string x = §"abc;', "syntax-error"),
        ("§/* const int x = 1;", "syntax-error"),
        ("control c() { apply { switch (x) { §{ } : { } } } }", "syntax-error"),
        ("extern E { §F(); }", "syntax-error"),
        ("§bit<8> x;", "syntax-error"),
        ("const int x = 1; §}", "syntax-error"),
        ("control c() { apply { for (§i in 1 .. 2) { } } }", "syntax-error"),
        ("@foo§(( const int x = 1;", "syntax-error"),
    ],
)
def test_the_place_of_an_error(text: str, kind: str) -> None:
    clean, expected = places(text)
    _, diagnostics = parse(clean)
    found = error_places(diagnostics)
    assert found[:1] == expected, diagnostics.render()
    assert diagnostics.errors[0].kind.value == kind


def test_several_errors_in_one_run() -> None:
    text, expected = places(
        """struct S {
    bit<8> §;
    bit<8> good;
}
control c(inout S s) {
    action a() { s.good = §; s.good = 1; }
    apply {
        s.good = 1 + §;
        s.good §s.good;
        if (true) { s.good = §}
        s.good = 2;
    }
}
const int x = §;
const int y = 1;
"""
    )
    program, diagnostics = parse(text)
    assert error_places(diagnostics) == expected, diagnostics.render()
    assert [d.name.text for d in program.declarations] == ["S", "c", "y"]


def test_the_number_of_errors_is_limited() -> None:
    _, diagnostics = parse("const int x = ;\n" * 1000)
    assert len(diagnostics.errors) == diagnostics.limit


@pytest.mark.parametrize(
    "text",
    [
        "const bit<8> x = " + "(" * 5000 + "1" + ")" * 5000 + ";",
        "const bit<8> x = " + "~" * 5000 + "1;",
        "typedef " + "tuple<" * 5000 + "bit" + ">" * 5000 + " t;",
        "control c() { apply " + "{" * 5000 + "}" * 5000 + "}",
        "control c() { apply { " + "if (true) " * 5000 + "; } }",
        "const bit<8> x = " + "+".join(["1"] * 5000) + ";",
        "struct S { bit" + "[1]" * 5000 + " x; }",
        "const int x = " + "9" * 5000 + ";",
    ],
)
def test_what_is_too_deep_or_too_long_is_one_error(text: str) -> None:
    _, diagnostics = parse(text)
    assert "overlimit" in {error.kind.value for error in diagnostics.errors}


def test_a_long_chain_of_else_if_is_no_nesting() -> None:
    chain = " else ".join(["if (x == 1) { }"] * 1000)
    _, diagnostics = parse(f"control c(in bit<8> x) {{ apply {{ {chain} }} }}")
    assert not diagnostics.has_errors


# -- printing and parsing are inverse

SPAN = Span(SourceFile("test.p4", ""), 0, 0)
NAMES = st.sampled_from(["a", "b", "hdr", "key", "state"])


def _composed(children: st.SearchStrategy[ast.Expression]) -> st.SearchStrategy[ast.Expression]:
    name = NAMES.map(lambda text: ast.Name(SPAN, text))
    operators = [o for o in ast.BinaryOperator if o not in (ast.BinaryOperator.MASK, ast.BinaryOperator.RANGE)]
    bits = st.integers(1, 64).map(lambda w: ast.BitsTypeRef(SPAN, ast.BitsKind.BIT, ast.IntegerLiteral(SPAN, w)))
    argument = children.map(lambda value: ast.Argument(SPAN, None, value))
    return st.one_of(
        st.builds(lambda o, x: ast.Unary(SPAN, o, x), st.sampled_from(list(ast.UnaryOperator)), children),
        st.builds(lambda o, x, y: ast.Binary(SPAN, o, x, y), st.sampled_from(operators), children, children),
        st.builds(lambda x, y, z: ast.Conditional(SPAN, x, y, z), children, children, children),
        st.builds(lambda x, n: ast.Member(SPAN, x, n), children, name),
        st.builds(lambda x, y: ast.Index(SPAN, x, y), children, children),
        st.builds(lambda x, y, z, p: ast.Slice(SPAN, x, y, z, p), children, children, children, st.booleans()),
        st.builds(lambda t, x: ast.Cast(SPAN, t, x), bits, children),
        st.lists(children, max_size=3).map(lambda xs: ast.ListExpression(SPAN, tuple(xs))),
        st.builds(lambda x, xs: ast.Call(SPAN, x, (), tuple(xs)), children, st.lists(argument, max_size=2)),
    )


EXPRESSIONS = st.recursive(
    st.one_of(
        NAMES.map(lambda text: ast.PathExpression(SPAN, text)),
        st.booleans().map(lambda value: ast.BoolLiteral(SPAN, value)),
        st.builds(
            lambda value, width, signed, base: ast.IntegerLiteral(
                SPAN, value, width, signed and width is not None, base
            ),
            st.integers(0, 1 << 70),
            st.none() | st.integers(1, 128),
            st.booleans(),
            st.sampled_from([2, 8, 10, 16]),
        ),
        st.text(alphabet='ab"\\ {', max_size=4).map(lambda text: ast.StringLiteral(SPAN, text)),
    ),
    _composed,
    max_leaves=12,
)


def same(left: object, right: object) -> bool:
    """The two trees are equal, places apart."""
    if isinstance(left, ast.Node):
        return type(left) is type(right) and all(
            same(getattr(left, name), getattr(right, name)) for name in type(left).__match_args__ if name != "span"
        )
    if isinstance(left, tuple):
        return isinstance(right, tuple) and len(left) == len(right) and all(map(same, left, right))
    return left == right


@given(EXPRESSIONS)
def test_printing_and_parsing_are_inverse(expression: ast.Expression) -> None:
    program, diagnostics = parse(f"const int x = {print_expression(expression)};")
    assert not diagnostics.has_errors, diagnostics.render()
    constant = program.declarations[0]
    assert isinstance(constant, ast.Constant)
    assert same(constant.value, expression)


@given(st.text(alphabet='ab{}()<>;,."/*\\#@=+ \n0x', max_size=60))
def test_no_text_breaks_the_parser(text: str) -> None:
    parse(text)
