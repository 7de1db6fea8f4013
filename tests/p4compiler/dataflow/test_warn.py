"""Warnings about values that are used before they are set and headers that are used before they are valid."""

from __future__ import annotations

import time

import pytest

from p4compiler.dataflow import warn
from p4compiler.dataflow.reports import KINDS
from p4compiler.diagnostics import Diagnostics
from tests.p4compiler.front_end import check, places

HEAD = """
error { NoError }
match_kind { exact }
extern packet_in { void extract<T>(out T hdr); T lookahead<T>(); }
extern void use<T>(in T value);
extern void fill<T>(out T value);
header h_t { bit<8> a; bit<8> b; }
header g_t { bit<8> c; }
header_union u_t { h_t h; g_t g; }
struct s_t { bit<8> x; bit<8> y; }
struct hdrs_t { h_t h; g_t g; h_t[2] stack; u_t u; }
struct meta_t { bit<8> m; bool f; bit<8> i; }
"""

TAIL = """
parser p_t(packet_in p, out hdrs_t hdr, inout meta_t m);
control c_t(inout hdrs_t hdr, inout meta_t m);
package P(p_t p, c_t c);
P(prs(), ctl()) main;
"""

PARSER = "parser prs(packet_in p, out hdrs_t hdr, inout meta_t m) { state start { transition accept; } }"


def flow(text: str) -> Diagnostics:
    """The program's warnings of this analysis."""
    checked, diagnostics = check(text)
    assert not diagnostics.has_errors, diagnostics.render()
    diagnostics.entries.clear()
    warn.warn_of_data_flow(checked, diagnostics)
    return diagnostics


def expect(program: str, kind: str) -> Diagnostics:
    """Warnings of that kind at the marked places, in any order, and none of the others."""
    text, marks = places(program)
    diagnostics = flow(text)
    found = [w.span.position for w in diagnostics.warnings if w.span is not None and w.kind.value == kind]
    assert sorted((place.line, place.column) for place in found) == marks, diagnostics.render()
    assert {w.kind.value for w in diagnostics.warnings} <= {kind}, diagnostics.render()
    return diagnostics


def control(inside: str) -> str:
    """A program around the inside of a control with `hdr` and `m`."""
    return HEAD + PARSER + "\ncontrol ctl(inout hdrs_t hdr, inout meta_t m) {\n" + inside + "\n}" + TAIL


def parser(states: str, before: str = "") -> str:
    """A program around the states of a parser with `p`, `hdr` and `m`."""
    inside = "\nparser prs(packet_in p, out hdrs_t hdr, inout meta_t m) {\n" + states + "\n}"
    return HEAD + before + inside + "control ctl(inout hdrs_t hdr, inout meta_t m) { apply { } }" + TAIL


USES = {
    "plain": "apply { bit<8> v; m.m = §v; v = 1; m.m = v; }",
    "initialised": "apply { bit<8> v = 1; m.m = v; }",
    "of a control": "bit<8> v; apply { m.m = §v; }",
    "one branch": "apply { bit<8> v; if (m.f) { v = 1; } m.m = §v; }",
    "both branches": "apply { bit<8> v; if (m.f) { v = 1; } else { v = 2; } m.m = v; }",
    "a branch that returns": "apply { bit<8> v; if (m.f) { v = 1; } else { return; } m.m = v; }",
    "a branch that exits": "apply { bit<8> v; if (m.f) { exit; } else { v = 2; } m.m = v; }",
    "else if": "apply { bit<8> v; if (m.f) { v = 1; } else if (m.m == 1) { v = 2; } else { } m.m = §v; }",
    "a condition that is known": "apply { bit<8> v; if (false) { m.m = v; } if (true) { v = 1; } m.m = v; }",
    "a side that is never run": "apply { bool v; m.f = false && v; m.f = true || v; m.f = true ? m.f : v; }",
    "a side that may run": "apply { bool v; m.f = m.f && §v; }",
    "a part": "apply { s_t s; s.x = 1; m.m = s.x; m.m = §s.y; }",
    "all of it": "apply { s_t s; s.x = 1; use(§s); s.y = 1; use(s); }",
    "a tuple": "apply { tuple<bit<8>, bit<8>> t; m.m = §t[1]; t = {1, 2}; m.m = t[1]; }",
    "a slice that is set": "apply { bit<8> v; §v[3:0] = 1; m.m = v; }",
    "a slice that is read": "apply { bit<8> v; m.m = (bit<8>)§v[3:0]; }",
    "compound": "apply { bit<8> v; §v += 1; m.m = v; }",
    "an index": "apply { bit<8> v; hdr.stack[§v].setInvalid(); }",
    "by an extern": "apply { bit<8> v; fill(v); m.m = v; use(v); }",
    "for an extern": "apply { bit<8> v; use(§v); }",
    "by an action": "bit<8> v; action set() { v = 1; } apply { set(); m.m = v; }",
    "in an action": "bit<8> v; action get() { m.m = §v; } apply { get(); v = 1; get(); }",
    "an action's own": "action get() { bit<8> v; m.m = §v; v = 1; } apply { get(); get(); }",
    "an action's output": "action a(out bit<8> r) { r = 1; } apply { bit<8> v; a(v); m.m = v; }",
    "by each action": "bit<8> v; action a() { v = 1; } action b() { v = 2; } "
    "table t { actions = { a; b; } const default_action = a; } apply { t.apply(); m.m = v; }",
    "by one action": "bit<8> v; action a() { v = 1; } action b() { } "
    "table t { actions = { a; b; } const default_action = a; } apply { t.apply(); m.m = §v; }",
    "by the action that ran": "bit<8> v; action a() { v = 1; } action b() { } "
    "table t { actions = { a; b; } const default_action = a; } "
    "apply { switch (t.apply().action_run) { a: { m.m = v; } b: { m.m = §v; } } }",
    "a key": "bit<8> v; action a() { } table t { key = { §v: exact; } actions = { a; } const default_action = a; } "
    "apply { t.apply(); }",
    "a bound argument": "bit<8> v; action a(in bit<8> w) { m.m = w; } "
    "table t { actions = { a(§v); } const default_action = a(v); } apply { t.apply(); }",
    "a switch with default": "apply { bit<8> v; switch (m.m) { 1: { v = 1; } default: { v = 2; } } m.m = v; }",
    "a switch without": "apply { bit<8> v; switch (m.m) { 1: { v = 1; } } m.m = §v; }",
    "labels that fall through": "apply { bit<8> v; switch (m.m) { 1: 2: { v = 1; } default: { v = 2; } } m.m = v; }",
    "a loop": "apply { bit<8> v; for (bit<8> i = 0; i < 3; i = i + 1) { v = i; } m.m = §v; }",
    "the round before": "apply { bit<8> v; for (bit<8> i in 0 .. 3) { if (i > 0) { m.m = §v; } v = i; } }",
    "break": "apply { bit<8> v; for (bit<8> i in 0 .. 3) { if (m.f) { v = 1; break; } v = 2; } m.m = §v; }",
    "continue": "apply { bit<8> v; bit<8> w = 0; for (bit<8> i in 0 .. 3) { if (m.f) { continue; } w = 1; } m.m = w; }",
    "a local header's field": "apply { h_t h; h.setValid(); m.m = §h.a; h.b = 1; m.m = h.b; }",
    "one header of a union": "apply { u_t u; u.h.setValid(); u.h = {1, 2}; use(u); }",
    "silenced": 'apply @noWarn("uninitialized-use") { bit<8> v; m.m = v; }',
    "after the end": "apply { bit<8> v; return; m.m = v; }",
}


@pytest.mark.parametrize("name", USES)
def test_use_of_what_is_not_set(name: str) -> None:
    expect(control(USES[name]), "uninitialized-use")


def test_what_is_not_set_is_named() -> None:
    text, _ = places(control("apply { s_t s; s.x = 1; use(s); }"))
    (warning,) = flow(text).warnings
    assert warning.message == "'s' may be used before it is set completely: y"
    assert [note.message for note in warning.notes] == ["declared here, without a value"]


OUTPUTS = {
    "never": "bit<8> f(out bit<8> §v) { return 1; } @F",
    "on a path": "bit<8> f(out bit<8> §v) { if (1w1 == (bit<1>)v[0:0]) { v = 1; return 1; } return 2; } @F",
    "always": "bit<8> f(out bit<8> v) { v = 1; return 1; } @F",
    "headers may be left": "bit<8> f(out hdrs_t v) { return 1; } @H",
    "an action's": "action a(out bit<8> §v) { } @A",
    "an action that exits": "action a(out bit<8> v) { exit; } @A",
    "a control's": "control sub(out s_t §v) { apply { v.x = 1; } } @C",
    "a control that exits": "control sub(out s_t §v) { apply { if (1w1 == 1) { exit; } v = {1, 2}; } } @C",
}
APPLY = {
    "@F": "apply { bit<8> w; m.m = f(w); m.m = w; }",
    "@H": "apply { hdrs_t w; m.m = f(w); }",
    "@A": "apply { bit<8> w; a(w); }",
    "@C": "sub() c; apply { s_t w; c.apply(w); use(w); }",
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_that_is_not_set(name: str) -> None:
    before, _, key = OUTPUTS[name].partition("@")
    text = control(APPLY["@" + key])
    inside = HEAD + before
    diagnostics = flow(places(text.replace(HEAD, inside))[0])
    _, marks = places(text.replace(HEAD, inside))
    found = [w.span.position for w in diagnostics.warnings if w.kind.value == "uninitialized-out-param" and w.span]
    assert [(place.line, place.column) for place in found] == marks, diagnostics.render()


HEADERS = {
    "of a parameter": "apply { m.m = hdr.h.a; }",
    "after setInvalid": "apply { hdr.h.setInvalid(); m.m = §hdr.h.a; §hdr.h.b = 1; m.m = hdr.g.c; }",
    "after setValid": "apply { h_t h; h.setValid(); h.a = 1; h.b = 2; hdr.h = h; m.m = hdr.h.a; }",
    "on one path": "apply { if (m.f) { hdr.h.setInvalid(); } m.m = §hdr.h.a; }",
    "asked": "apply { if (m.f) { hdr.h.setInvalid(); } if (hdr.h.isValid()) { m.m = hdr.h.a; } m.m = §hdr.h.b; }",
    "asked before the other side": "apply { if (m.f) { hdr.h.setInvalid(); } "
    "if (hdr.h.isValid() && hdr.h.a == 1) { m.m = hdr.h.b; } }",
    "asked and left": "apply { if (m.f) { hdr.h.setInvalid(); } if (!hdr.h.isValid()) { return; } m.m = hdr.h.a; }",
    "made good": "apply { if (m.f) { hdr.h.setInvalid(); } if (!hdr.h.isValid()) { hdr.h.setValid(); } m.m = hdr.h.a; }",
    "copied": "apply { hdr.h.setInvalid(); h_t h = hdr.h; m.m = §h.a; h = {1, 2}; m.m = h.a; h = {#}; m.m = §h.a; }",
    "copied in a structure": "apply { hdrs_t o = hdr; o.g.setInvalid(); hdr = o; m.m = §hdr.g.c; m.m = hdr.h.a; }",
    "by an action": "action a() { hdr.h.setInvalid(); } apply { a(); m.m = §hdr.h.a; }",
    "by an extern": "apply { hdr.h.setInvalid(); fill(hdr.h); m.m = hdr.h.a; }",
    "by a table": "action a() { hdr.h.setInvalid(); } action b() { } "
    "table t { actions = { a; b; } const default_action = b; } apply { t.apply(); m.m = hdr.h.a; }",
    "by every action of a table": "action a() { hdr.h.setValid(); } "
    "table t { actions = { a; } const default_action = a; } apply { hdr.h.setInvalid(); t.apply(); m.m = hdr.h.a; }",
    "an element": "apply { hdr.stack[0].setInvalid(); m.m = §hdr.stack[0].a; m.m = hdr.stack[1].a; }",
    "any element": "apply { hdr.stack[0].setInvalid(); m.m = hdr.stack[m.i].a; "
    "hdr.stack[1].setInvalid(); m.m = §hdr.stack[m.i].a; }",
    "pushed": "apply { hdr.stack[0].setInvalid(); hdr.stack.push_front(1); m.m = hdr.stack[0].a; }",
    "the others of a union": "apply { hdr.u.h.setValid(); m.m = hdr.u.h.a; m.m = §hdr.u.g.c; }",
    "a key's question": "action a() { m.m = hdr.h.a; } "
    "table t { key = { hdr.h.isValid(): exact; } actions = { a; } const default_action = a; } "
    "apply { hdr.h.setInvalid(); t.apply(); }",
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_field_of_an_invalid_header(name: str) -> None:
    expect(control(HEADERS[name]), "invalid-header")


PARSERS = {
    "extracted": "state start { p.extract(hdr.h); m.m = hdr.h.a; transition accept; }",
    "not extracted": "state start { m.m = (bit<8>)hdr.h.minSizeInBits(); m.f = §hdr.h.a == 1; transition accept; }",
    "on one path": "state start { transition select(m.m) { 0: one; default: two; } } "
    "state one { p.extract(hdr.h); transition two; } "
    "state two { m.m = §hdr.h.a; transition accept; }",
    "on both paths": "state start { transition select(m.m) { 0: one; default: two; } } "
    "state one { p.extract(hdr.h); transition three; } state two { p.extract(hdr.h); transition three; } "
    "state three { transition select(hdr.h.a) { 0: one; default: accept; } }",
    "in a loop": "state start { p.extract(hdr.stack.next); "
    "transition select(hdr.stack.last.a) { 0: accept; default: start; } }",
}


@pytest.mark.parametrize("name", PARSERS)
def test_headers_in_a_parser(name: str) -> None:
    text, marks = places(parser(PARSERS[name]))
    found = {w.span.position for w in flow(text).warnings if w.span is not None and w.kind.value == "invalid-header"}
    assert sorted((place.line, place.column) for place in found) == marks


EXTRACTIONS = {
    "twice": "state start { p.extract(hdr.h); §p.extract(hdr.h); transition accept; }",
    "on one path": "state start { transition select(m.m) { 0: one; default: two; } } "
    "state one { p.extract(hdr.h); transition two; } state two { §p.extract(hdr.h); transition accept; }",
    "on two paths": "state start { transition select(m.m) { 0: one; default: two; } } "
    "state one { p.extract(hdr.h); transition accept; } state two { p.extract(hdr.h); transition accept; }",
    "in a loop": "state start { §p.extract(hdr.h); transition select(hdr.h.a) { 0: accept; default: start; } }",
    "into a stack": "state start { p.extract(hdr.stack.next); "
    "transition select(hdr.stack.last.a) { 0: accept; default: start; } }",
    "invalid in between": "state start { p.extract(hdr.h); hdr.h.setInvalid(); p.extract(hdr.h); transition accept; }",
    "elements": "state start { p.extract(hdr.stack[0]); p.extract(hdr.stack[1]); transition accept; }",
}


@pytest.mark.parametrize("name", EXTRACTIONS)
def test_a_header_that_is_extracted_again(name: str) -> None:
    expect(parser(EXTRACTIONS[name]), "multi-header-extract")


def test_nothing_is_known_of_what_a_parser_gets() -> None:
    text = parser("state start { p.extract(hdr.h); transition accept; }").replace(
        "packet_in p, out hdrs_t", "packet_in p, inout hdrs_t"
    )
    assert not flow(text).warnings


def test_what_is_applied_is_followed_with_what_it_gets() -> None:
    sub = "control sub(inout hdrs_t h) { apply { h.g.c = §h.h.a; h.h.setValid(); } }"
    expect(
        control("sub() s; apply { hdr.h.setInvalid(); s.apply(hdr); m.m = hdr.h.a; }").replace(PARSER, sub + PARSER),
        "invalid-header",
    )


def test_who_asked_before_a_call_is_relied_on_in_it() -> None:
    sub = "control sub(inout hdrs_t h) { apply { h.g.c = h.h.a; h.h.setInvalid(); } }"
    expect(
        control(
            "sub() s; apply { if (m.f) { hdr.h.setInvalid(); } if (hdr.h.isValid() || hdr.g.isValid()) { s.apply(hdr); "
            "m.m = §hdr.h.a; m.m = hdr.g.c; } }"
        ).replace(PARSER, sub + PARSER),
        "invalid-header",
    )


def test_a_function_s_header_comes_back() -> None:
    function = "void f(inout h_t h) { h.setInvalid(); }"
    expect(
        control("apply { f(hdr.h); m.m = §hdr.h.a; }").replace(PARSER, function + PARSER),
        "invalid-header",
    )


def test_only_what_main_is_made_of() -> None:
    other = "control other(inout hdrs_t hdr, inout meta_t m) { apply { bit<8> v; m.m = v; } }"
    assert not flow(control("apply { }").replace(PARSER, other + PARSER)).warnings


def test_nothing_is_done_where_all_is_silenced(monkeypatch: pytest.MonkeyPatch) -> None:
    checked, diagnostics = check(places(control(USES["plain"]))[0])
    diagnostics.entries.clear()
    diagnostics.severities = dict.fromkeys(KINDS)
    monkeypatch.setattr(warn, "_Program", None)
    warn.warn_of_data_flow(checked, diagnostics)
    assert not diagnostics.entries


DOUBLING = {
    "actions": "action a0() { m.m = m.m + 1; }"
    + "".join(f"action a{i + 1}() {{ a{i}(); a{i}(); }}" for i in range(40))
    + "apply { a40(); }",
    "loops": "apply { " + "for (bit<8> i in 0 .. 3) { " * 30 + "m.m = 1;" + "}" * 30 + " }",
    "changing loops": "".join(f"bit<8> v{i};" for i in range(200))
    + "apply { v0 = 1;"
    + "for (bit<8> i in 0 .. 3) { " * 30
    + "".join(f"if (m.f) {{ v{i + 1} = v{i}; }}" for i in range(199))
    + "}" * 30
    + " }",
    "a long block": "bit<8> v;" + "apply { " + "v = m.m; m.m = v; hdr.h.a = v;" * 5_000 + " }",
    "many variables": "".join(f"s_t s{i};" for i in range(5_000)) + "apply { " + "m.m = 1;" * 5_000 + " }",
    "else if": "apply { if (m.m == 0) { } " + "else if (m.m == 1) { }" * 5_000 + " }",
}


@pytest.mark.parametrize("name", DOUBLING)
def test_the_work_is_bounded(name: str) -> None:
    checked, diagnostics = check(control(DOUBLING[name]))
    assert not diagnostics.has_errors, diagnostics.render()
    start = time.process_time()
    warn.warn_of_data_flow(checked, diagnostics)
    assert time.process_time() - start < 5
