"""Warnings of the checker, each at its place: `§` stands before it."""

from __future__ import annotations

import pytest

from p4compiler.diagnostics import Diagnostics, Severity
from tests.p4compiler.front_end import check, places

HEAD = """match_kind { exact, ternary, lpm, range, optional }
struct s_t { bit<8> a; bit<8> b; }
header h_t { bit<8> v; }
bit<8> inc(inout bit<8> x) { x = x + 1; return x; }
void both(inout bit<8> x, inout bit<8> y) { x = y; }
void one(inout bit<8> x, in bit<8> y) { x = y; }
void whole(inout s_t x, inout bit<8> y) { x.a = y; }
"""


def expect(text: str, kind: str) -> Diagnostics:
    clean, marks = places(text)
    _, diagnostics = check(clean)
    assert not diagnostics.has_errors, diagnostics.render()
    found = [w.span.position for w in diagnostics.warnings if w.kind.value == kind and w.span is not None]
    assert sorted((place.line, place.column) for place in found) == marks, diagnostics.render()
    return diagnostics


def table(entries: str, keys: str = "x: exact; y: ternary;", properties: str = "") -> str:
    return (
        HEAD + "control c(inout bit<8> x, inout bit<8> y) { action a() { }\n"
        f"table t {{ key = {{ {keys} }} actions = {{ a; }} const default_action = a; {properties}\n{entries} }}\n"
        "apply { t.apply(); } }"
    )


@pytest.mark.parametrize(
    ("entries", "kind"),
    [
        ("const entries = { (1, §0x11 &&& 0xf0): a; (2, 0x10 &&& 0xf0): a; }", "mismatch"),
        ("const entries = { (1, 2): a; (1, 2 &&& 3): a; (1, 3): a; }", "keys"),
        ("const entries = { (1, 2 &&& 3): a; §(1, 2): a; §(1, 6): a; (2, 6): a; }", "keys"),
        ("const entries = { (1, _): a; §(1, 6 &&& 7): a; }", "keys"),
        ("const entries = { (1, 6): a; §(1, 6): a; }", "keys"),
        ("entries = { priority = 1: (1, _): a; priority = 2: (1, 6): a; }", "keys"),
        ("entries = { priority = 2: (1, _): a; priority = 1: §(1, 6): a; }", "keys"),
        ("entries = { §priority = 7: (1, 1): a; priority = 7: (1, 2): a; priority = 7: (1, 3): a; }", "duplicate-priorities"),
        ("entries = { priority = 7: (1, 1): a; §(1, 2): a; priority = 8: (1, 3): a; }", "entries-out-of-priority-order"),
        ("const entries = { (1, 2): a() §@priority(1); }", "deprecated"),
    ],
)  # fmt: skip
def test_entries(entries: str, kind: str) -> None:
    expect(table(entries), kind)


def test_entries_of_a_table_where_the_smallest_priority_wins() -> None:
    smallest = "largest_priority_wins = false;"
    expect(
        table("entries = { priority = 1: (1, 1): a; priority = 2: (1, 2): a; }", properties=smallest),
        "entries-out-of-priority-order",
    )
    expect(
        table("entries = { §priority = 2: (1, 1): a; priority = 1: (1, 2): a; }", properties=smallest),
        "entries-out-of-priority-order",
    )


def test_longer_prefixes_are_not_covered_by_shorter_ones() -> None:
    expect(table("const entries = { 0x10 &&& 0xf0: a; 0x12: a; }", keys="x: lpm;"), "keys")


def test_many_entries_take_no_long_time() -> None:
    entries = "".join(f"({i % 200}, {i} &&& {i % 255 + 1}): a;" for i in range(4000))
    _, diagnostics = check(table(f"const entries = {{ {entries} }}").replace("bit<8>", "bit<16>"))
    assert not diagnostics.has_errors


@pytest.mark.parametrize(
    "keys", ["§8w1: exact; y: ternary;", "x: exact; §8w3: ternary;", "x: exact; (§8w1 + 2): exact @name(\"k\");"]
)  # fmt: skip
def test_a_key_that_is_constant(keys: str) -> None:
    expect(table("", keys=keys), "mismatch")


@pytest.mark.parametrize(
    "statement",
    [
        "both(§x, x);",
        "both(x, y);",
        "one(x, x);",
        "one(§x, inc(x));",
        "one(x, inc(y));",
        "whole(§s, s.a);",
        "both(s.a, s.b);",
        "both(§s.a, s.a);",
        "both(h[0].v, h[1].v);",
        "both(§h[x].v, h[1].v);",
        "both(§h[x].v, x);",
    ],
)
def test_arguments_that_share_storage(statement: str) -> None:
    text = HEAD + "control c(inout bit<8> x, inout bit<8> y, inout s_t s, inout h_t[2] h) { apply {" + statement + "} }"
    expect(text, "ordering")


@pytest.mark.parametrize(
    "text",
    [
        "const bit<8> a = 1; control c() { apply { bit<8> §a; } }",
        "extern counter { } control c() { bit<8> §counter; apply { } }",
        "struct T { } extern void f<§T>(in T data);",
        "const bit<8> a = 1; extern void f(in bit<8> a);",
        "const bit<8> a = 1; control c(out bit<8> a);",
        "bit<8> f(in bit<8> §f) { return f; }",
        "control c(in bit<8> §c) { apply { } }",
        "action a() { } control c() { action §a() { } apply { a(); } }",
        "extern void f(); control c() { action §f() { } apply { } }",
        "control c() { action a(bit<8> x) { } action b(bit<8> x) { } apply { } }",
    ],
)
def test_names_that_hide_others(text: str) -> None:
    expect(text, "shadow")


@pytest.mark.parametrize(
    "select",
    [
        "select(8w1) { 0: accept; 1: accept; §2: reject; §default: reject; }",
        "select(8w1) { 0..3: accept; §1: reject; }",
        "select(8w1) { 2 &&& 2: reject; 1 &&& 3: accept; §default: reject; }",
        "select(8w1, true) { (1, false): reject; (_, true): accept; §(1, true): reject; }",
        "§select(8w1) { 2: accept; }",
        "§select(x) { 1: accept; default: accept; }",
        "select(x) { default: accept; }",
        "select(x) { 1: accept; default: reject; }",
        "select(x) { v: accept; 1: reject; }",
        "select(8w1) { v: accept; 1: accept; §2: reject; }",
        "select(x) { default: accept; §1: reject; }",
    ],
)
def test_choices_of_a_parser(select: str) -> None:
    text = "parser p(in bit<8> x) { value_set<bit<8>>(4) v; state start { transition " + select + " } }"
    expect(text, "parser-transition")


@pytest.mark.parametrize(
    "text",
    [
        "package §P();",
        "control §c<§T>();",
        "extern E<§T> { }",
        "struct S<T, §N> { T x; }",
        "package P(); P() main;",
        "void §main() { }",
        "extern bool static_assert(bool check); const bool t = static_assert(true); ",
    ],
)
def test_what_is_unused(text: str) -> None:
    expect(text, "unused")


def test_a_kind_that_there_is_not() -> None:
    diagnostics = expect('§@noWarn("unusde") const bit<8> a = 1;', "unknown")
    (warning,) = [w for w in diagnostics.warnings if w.kind.value == "unknown"]
    assert [note.message for note in warning.notes] == ["did you mean 'unused'?"]
    expect('@noWarn("multi-header-extract") const bit<8> a = 1;', "unknown")


@pytest.mark.parametrize(
    ("annotation", "errors", "warnings"),
    [
        ('@diagnostic("overflow", "error")', ["overflow"], []),
        ('@diagnostic("overflow", "disable")', [], []),
        ('@diagnostic("overflow", "error") @diagnostic("overflow", "warn")', [], ["overflow"]),
        ('@diagnostic("overflow", "quiet")', [], ["mismatch", "overflow"]),
        ('@diagnostic("overflw", "error")', [], ["unknown", "overflow"]),
        ('@diagnostic("overflow")', [], ["missing", "overflow"]),
        ('@diagnostic("type-error", "disable")', [], ["mismatch", "overflow"]),
        ('@diagnostic("legacy", "disable")', [], ["overflow"]),
    ],
)
def test_what_the_program_makes_of_a_kind(annotation: str, errors: list[str], warnings: list[str]) -> None:
    """The annotation holds for the whole program, before it too."""
    _, diagnostics = check(f"const bit<8> a = 256;\n{annotation} const bit<8> b = a;")
    said = [e for e in diagnostics.entries if e.span is not None and e.kind.value != "unused"]
    assert [e.kind.value for e in said if e.severity is Severity.ERROR] == errors
    assert [e.kind.value for e in said if e.severity is Severity.WARNING] == warnings


@pytest.mark.parametrize(
    "branch",
    [
        "if (true) §@unlikely { x = 1; }",
        "if (false) §@likely { x = 1; }",
        "if (true) { } else §@likely { x = 1; }",
        "if (false) { } else §@unlikely { x = 1; }",
        "if (true) @likely { x = 1; } else @unlikely { x = 2; }",
        "if (x == 0) @likely { x = 1; } else @unlikely { x = 2; }",
    ],
)
def test_hints_at_branches_that_are_known(branch: str) -> None:
    expect(f"control c(inout bit<8> x) {{ apply {{ {branch} }} }}", "branch")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("const bit<8> x = §256;", "overflow"),
        ("const bit<8> x = §-1;", "mismatch"),
        ("const int<8> x = §128;", "overflow"),
    ],
)
def test_constants_that_do_not_fit(text: str, kind: str) -> None:
    expect(text, kind)


def test_a_parser_without_transition_never_accepts() -> None:
    expect("parser §p() { state start { } }", "unreachable")
