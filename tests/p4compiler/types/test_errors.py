"""What the checker refuses: each error's kind, line and column. `§` stands before the place."""

from __future__ import annotations

import pytest

from tests.p4compiler.front_end import check, error_places, expect_errors, places

HEADER = "header H { bit<8> a; bit<16> b; } struct S { H h; bit<8> x; bool f; }\n"

CONSTANTS = [
    ("const bit<8> x = §true;", "type-error"),
    ("const bit<8> x = §8s1;", "type-error"),
    ("const bool x = §1;", "type-error"),
    ("const bit<8> x = 8w1 + §true;", "type-error"),
    ("const bit<8> x = §8w1 + 16w1;", "invalid"),
    ("const bit<8> x = §1 / 0;", "invalid"),
    ("const int x = §-1 / 2;", "invalid"),
    ("const bit<8> x = §8w1 << -1;", "invalid"),
    ("control c(in int<8> s) { apply { bit<8> x = 8w1 << §s; } }", "type-error"),
    ("const bit<4> x = 8w1[§8:5];", "type-error"),
    ("const bit<4> x = §8w1[2:5];", "type-error"),
    ("const bit<9> x = §1 ++ 8w1;", "type-error"),
    ("const bit<8> x = §y;", "not-found"),
    ("const error x = error.§Nothing;", "not-found"),
    ("enum E { A } const E x = E.§B;", "type-error"),
    ("enum E { A } const bit<8> x = §(bit<8>)E.A;", "type-error"),
    ("enum bit<8> E { A = 1 } enum E2 { B } const E x = §E2.B;", "type-error"),
    ("const bool x = §8w1 == 9w1;", "type-error"),
    ("const bool x = !§8w1;", "type-error"),
    ("const bit<8> x = true && §1;", "type-error"),
    ("const bit<§-1> x = 0;", "invalid"),
    ("const bit<§9999> x = 0;", "overlimit"),
    ("const bit<§true> x = 0;", "expected"),
    ("const bit<8> x = §4096w1;", "overlimit"),
    ("const tuple<bit<8>, bool> x = §{ 1 };", "type-error"),
    ("const tuple<bit<8>, bool> x = { 1, §2 };", "type-error"),
    ("const §void x = 1;", "type-error"),
    ("const string x = §1;", "type-error"),
    ('const bit<8> x = §"a";', "type-error"),
    ("const bit<8> x = §{#};", "type-error"),
    ("const int x = (§1 << 9000);", "unsupported"),
]


@pytest.mark.parametrize(("text", "kind"), CONSTANTS)
def test_constants(text: str, kind: str) -> None:
    expect_errors(text, kind)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("struct S { bit<8> a; bool §a; }", "duplicate"),
        ("struct S { } struct §S { }", "duplicate"),
        ("struct S { §T x; }", "not-found"),
        ("header H { §string x; }", "type-error"),
        ("header H { §int x; }", "type-error"),
        ("header_union U { §bit<8> x; }", "type-error"),
        (
            "extern packet_in { void extract<T>(out T h, in bit<32> n); }"
            " header H { varbit<8> a; varbit<8> b; } parser P(packet_in p, out H h)"
            " { state start { §p.extract(h, 8); transition accept; } }",
            "type-error",
        ),
        ("header H { bit<8> n; varbit<8> a; @length(n + §m) varbit<8> b; bit<8> m; }", "not-found"),
        ("extern E { E(); } struct S { §E e; }", "type-error"),
        ("struct G<T> { T x; } struct S { §G x; }", "type-error"),
        ("struct G<T> { T x; } struct S { §G<bit<8>, bool> x; }", "type-error"),
        ("enum E { A, §A }", "duplicate"),
        ("enum §bool E { A = true }", "type-error"),
        ("enum bit<8> E { A = §true }", "type-error"),
        ("enum bit<2> E { B = 3, A = §5 }", "type-error"),
        ("error { A, §A }", "duplicate"),
        ("type §tuple<bit<8>> T;", "type-error"),
        ("struct S { §S x; }", "unsupported"),
        ("typedef bit<8> T; control c() { apply { §T(1); } }", "invalid"),
        ("const bit<8> a = 1; struct S { §a x; }", "type-error"),
    ],
)
def test_types(text: str, kind: str) -> None:
    expect_errors(text, kind)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("s.x = §true;", "type-error"),
        ("s.x = §s.h.b;", "type-error"),
        ("s.§y = 1;", "type-error"),
        ("bit<8>[2] a; a.§push_front(1);", "type-error"),
        ("s.h.§c = 1;", "type-error"),
        ("§i = 1;", "type-error"),
        ("§n() = 2;", "type-error"),
        ("if (§s.x) { }", "type-error"),
        ("bit<8> v = 1; bit<8> §v = 2;", "duplicate"),
        ("bit<8> §s = 1;", "shadow"),
        ("§int v = 1;", "type-error"),
        ("§nothing();", "not-found"),
        ("§s.x();", "type-error"),
        ("s.h.§foo();", "type-error"),
        ("s.f = §s.h.isValid(1);", "type-error"),
        ("s.x = §s.h.setValid();", "type-error"),
        ("§i2.h.setValid();", "not-found"),
        ("n(1, §2);", "type-error"),
        ("f(§1);", "type-error"),
        ("f(§s.h.b);", "type-error"),
        ("g(§_);", "type-error"),
        ("§g();", "type-error"),
        ("g(§y = 1);", "type-error"),
        ("g(x = 1, §x = 2);", "duplicate"),
        ("k(§i);", "type-error"),
        ("§return 1;", "type-error"),
        ("§break;", "invalid"),
        ("§E() e;", "invalid"),
        ("switch (§s.h) { }", "type-error"),
        ("switch (s.x) { 1: { } §1: { } }", "invalid"),
        ("switch (s.x) { §default: { } 1: { } }", "invalid"),
        ("switch (s.x) { §i: { } }", "type-error"),
        ("for (bit<8> j in §s.x) { }", "type-error"),
        ("for (bit<8> j = 0; §j; j += 1) { }", "type-error"),
        ("§s.h += 1;", "type-error"),
        ("s.x = s.f ? 8w1 : §16w1;", "type-error"),
        ("s.x = §s.f ? 1 : 2;", "type-error"),
        ("s.h = { a = §true, b = 1 };", "type-error"),
        ("s.h = §{ a = 1 };", "type-error"),
        ("s.h = { a = 1, b = 2, §c = 3 };", "type-error"),
        ("s.h = §{ 1 };", "type-error"),
        ("§p.apply();", "not-found"),
    ],
)
def test_statements(body: str, kind: str) -> None:
    text = HEADER + (
        "extern E { E(); } extern void f(out bit<8> x); extern void g(in bit<8> x); extern void k(bit<8> x);"
        "extern void n(in bit<8> x);\n"
        "control c(inout S s, in bit<8> i) { apply {\n" + body + "\n} }"
    )
    expect_errors(text, kind)


TABLE = HEADER + (
    "action NoAction() {} match_kind { exact, ternary, lpm, range } const bit<8> K = 1;\n"
    "control c(inout S s) { action a(in bit<8> x, bit<8> y) { } action b() { }\n table t {\n%s\n} apply { t.apply(); } }"
)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("key = { s.x : §fuzzy; } actions = { b; }", "not-found"),
        ("key = { §s.h : exact; } actions = { b; }", "type-error"),
        ("key = { §s.x + 1 : exact; } actions = { b; }", "expected"),
        ("actions = { §z; }", "not-found"),
        ("actions = { b; §b; }", "duplicate"),
        ("actions = { §a; }", "type-error"),
        ("actions = { a(1, §2); }", "type-error"),
        ("actions = { b; } default_action = §NoAction;", "type-error"),
        ("actions = { a(s.x); } default_action = §a(s.x);", "type-error"),
        ("actions = { a(s.x); } default_action = a(s.x, §s.x);", "type-error"),
        ("actions = { a(s.x); } default_action = a(§K, 1);", "type-error"),
        ("§default_action = b; actions = { b; }", "type-error"),
        ("actions = { b; } size = §true;", "invalid"),
        ("actions = { b; } support_timeout = §1;", "expected"),
        ("key = { s.x : exact; } actions = { b; } entries = { §(1, 2): b; }", "type-error"),
        ("key = { s.x : exact; } actions = { b; } entries = { §true: b; }", "type-error"),
        ("key = { s.x : exact; } actions = { b; } entries = { §s.x: b; }", "type-error"),
        ("key = { s.x : exact; } actions = { b; } entries = { §_: b; }", "type-error"),
        ("key = { s.x : exact; } actions = { b; } entries = { 1: b; §1: b; }", "keys"),
        ("key = { s.x : lpm; } actions = { b; } entries = { 1 &&& §5: b; }", "invalid"),
        ("key = { s.x : ternary; } actions = { b; } entries = { §1 .. 5: b; }", "type-error"),
        ("key = { s.x : exact; } actions = { b; } entries = { 1: §NoAction; }", "type-error"),
        ("key = { s.x : exact; } actions = { b; } entries = { §priority = 1: 1: b; }", "unsupported"),
        ("key = { s.x : ternary; } actions = { b; } entries = { §1: b; priority = 1: 2: b; }", "expected"),
        ("key = { s.x : ternary; } actions = { b; } const entries = { priority = §1: 2: b; }", "invalid"),
        ("actions = { b; } entries = { §1: b; }", "type-error"),
        ("key = { s.x : ternary; s.h.b : ternary; } actions = { b; } entries = { §_: b; }", "type-error"),
    ],
)
def test_tables(body: str, kind: str) -> None:
    expect_errors(TABLE % body, kind)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("parser §p() { state begin { transition accept; } }", "invalid"),
        ("parser p() { state start { transition §strat; } }", "not-found"),
        ("parser p() { state start { transition accept; } state §start { transition accept; } }", "duplicate"),
        ("parser p() { state start { transition accept; } state §accept { transition accept; } }", "invalid"),
        ("parser §p() { state start { transition start; } }", "unreachable"),
        ("parser p(in bit<8> x) { state start { transition select(x) { §true: accept; } } }", "type-error"),
        ("parser p(in bit<8> x) { state start { transition select(x) { §(1, 2): accept; } } }", "type-error"),
        ("parser p(in bit<8> x) { state start { transition select(x) { §x .. 2: accept; } } }", "target-error"),
        ("struct S { } parser p(in S x) { state start { transition select(§x) { } } }", "type-error"),
        ("parser p() { state start { §return; transition accept; } }", "invalid"),
        ("action a() { } parser p() { state start { §a(); transition accept; } }", "type-error"),
        ("control c() { apply { } } parser p() { §c() x; state start { transition accept; } }", "invalid"),
    ],
)
def test_parsers(text: str, kind: str) -> None:
    expect_errors(text, kind)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("bit<8> §f() { }", "insufficient"),
        ("bit<8> §f(in bool b) { if (b) { return 1; } }", "insufficient"),
        ("bit<8> f() { §return; }", "type-error"),
        ("bit<8> f() { return §true; }", "type-error"),
        ("void f() { §f(); }", "not-found"),
        ("void f() { §exit; }", "invalid"),
        ("action a() { } void f() { §a(); }", "type-error"),
        ("void f(in bit<8> x) { } void §f(in bool x) { }", "duplicate"),
        ("action a(bit<8> x, §in bit<8> y) { }", "type-error"),
        ("control c() { §c() x; apply { } }", "unsupported"),
        ("control c() { apply { } } §c() x;", "invalid"),
        ("control C(); §C() x;", "type-error"),
        ("extern E { } §E() e;", "type-error"),
        ("extern E { E(bit<8> x); } §E() e;", "type-error"),
        ("extern E { E(bit<8> x); } E(§true) e;", "type-error"),
        ("extern E<T> { E(); } §E() e;", "type-error"),
        ("extern E { E(); abstract void f(); } §E() e;", "type-error"),
        ("extern E { E(); abstract void f(); } E() e = { void §g() { } void f() { } };", "type-error"),
        ("extern E { E(); abstract void f(in bit<8> x); } E() e = { void f(§in bool x) { } };", "type-error"),
        (
            'extern bool static_assert(bool check, string message); const bool b = §static_assert(1 > 2, "no");',
            "expected",
        ),
        ("extern T f<T>(); const bit<8> x = §f();", "type-error"),
        ("extern void f<T>(in T a, in T b); control c(in bit<8> x) { apply { f(x, §true); } }", "type-error"),
        ("extern void f<T>(in T a); control c() { apply { §f(1); } }", "type-error"),
        ("control c(in bit<8> x); package p(c a); control d(in bool x) { apply { } } p(§d()) main;", "type-error"),
        ("control §main() { apply { } }", "invalid"),
        ("§@name(1) const bit<8> x = 1;", "invalid"),
        ("@a[x = 1, §x = 2] const bit<8> x = 1;", "duplicate"),
    ],
)
def test_functions_and_instances(text: str, kind: str) -> None:
    expect_errors(text, kind)


def test_several_errors_in_one_run() -> None:
    text, expected = places(
        HEADER
        + """match_kind { exact } action NoAction() { }
control c(inout S s) {
    action a() { s.x = §true; s.§y = 1; }
    table t {
        key = { s.§z : exact; }
        actions = { a; §b; }
    }
    apply {
        bit<8> v = §undeclared;
        v = 1;
        if (§v) { s.h.b = §v; }
    }
}
"""
    )
    _, diagnostics = check(text)
    assert error_places(diagnostics) == expected, diagnostics.render()


def test_a_wrong_declaration_does_not_spread() -> None:
    """What was reported once is not reported again wherever it is used."""
    expect_errors(
        "const §nothing x = 1; struct S { §missing y; } control c(inout S s) { apply { s.y = x; s.y = s.y + 1; } }",
        "not-found",
        "not-found",
    )


def test_close_names_are_suggested() -> None:
    diagnostics = expect_errors("const bit<8> length = 1; const bit<8> x = §lenght;", "not-found")
    assert [note.message for note in diagnostics.errors[0].notes] == ["did you mean 'length'?"]


def test_related_places_are_noted() -> None:
    diagnostics = expect_errors("const bit<8> x = 1;\nconst bit<8> §x = 2;", "duplicate")
    note = diagnostics.errors[0].notes[0]
    assert note.span is not None
    assert note.span.position == (1, 14)


@pytest.mark.parametrize(
    ("given", "note", "place"),
    [
        ("control g(in H h, inout bit<8> m) { apply { } }", "parameter 'h' is 'in', but must be 'inout'", 11),
        (
            "control g(inout H h, bit<8> m) { apply { } }",
            "parameter 'm' is without a direction, but must be 'inout'",
            22,
        ),
        (
            "control g(inout H h, inout bool m) { apply { } }",
            "parameter 'm' has type 'bool', but must have 'bit<8>'",
            22,
        ),
        ("control g(inout H h) { apply { } }", "'g' has 1 parameter(s), but 2 are needed", 9),
        ("control g(inout H h, inout bit<8> m, in H x) { apply { } }", "'g' has 3 parameter(s), but 2 are needed", 9),
        ("parser g(inout H h) { state start { transition accept; } }", "'g' is a parser", 8),
    ],
)
def test_the_parameter_that_keeps_a_block_from_fitting(given: str, note: str, place: int) -> None:
    text = f"header H {{ bit<8> a; }} control C<T, M>(inout T t, inout M m); package P<T>(C<T, bit<8>> c);\n{given}\nP(§g()) main;"
    error = expect_errors(text, "type-error").errors[0]
    assert error.notes[0].message == note
    assert error.notes[0].span is not None
    assert (error.notes[0].span.position.line, error.notes[0].span.position.column) == (2, place)


@pytest.mark.parametrize("call", ["t.§aply()", "d.§appl()"])
def test_what_is_meant_by_a_method_that_there_is_not(call: str) -> None:
    text = f"action NoAction() {{ }} control D() {{ apply {{ }} }} control c() {{ D() d; table t {{ actions = {{ }} }} apply {{ {call}; }} }}"
    error = expect_errors(text, "type-error").errors[0]
    assert [note.message for note in error.notes] == ["did you mean 'apply'?"]
