"""Warnings of declarations that nothing refers to, and how to silence warnings."""

from __future__ import annotations

from pathlib import Path

import pytest

from p4compiler import driver
from p4compiler.options import parse_arguments
from tests.p4compiler.front_end import check, places
from tests.p4compiler.programs import v1model

UNUSED = """
const bit<8> §LONELY = 1;
const bit<8> NEEDED = 2;
typedef bit<9> §port_t;
bit<8> §helper(in bit<8> v, out bit<8> w) { w = v; return v; }
control §never(inout bit<8> b) { apply { b = NEEDED; } }
parser §quiet(out bit<8> b) { state start { b = 1; transition accept; } }
struct nobody_t { bit<8> a; }
header_union none_t { }
control c(inout bit<8> b, in bit<8> unneeded) {
    bit<8> §forgotten;
    bit<8> known = 3;
    action §idle(bit<8> §data) { bit<8> §inner = 1; }
    action busy(bit<8> §data, bit<8> more) { b = more; }
    table §t { actions = { busy; } default_action = busy(1, 2); }
    apply { if (b == known) { bit<8> §deep = b; } else { for (bit<8> i in 1 .. 3) { bit<8> §deeper = i; } } }
}
control user<T>(inout T b, in T other);
package P<T>(user<T> u);
P(c()) main;
"""


def test_what_nothing_refers_to() -> None:
    text, expected = places(UNUSED)
    _, diagnostics = check(text)
    assert not diagnostics.has_errors, diagnostics.render()
    found = [w.span.position for w in diagnostics.warnings if w.kind.value == "unused" and w.span is not None]
    assert [(place.line, place.column) for place in found] == expected, diagnostics.render()


def test_nothing_is_said_of_what_is_wrong_anyway() -> None:
    _, diagnostics = check("const bit<8> a = b;")
    assert diagnostics.has_errors and not diagnostics.warnings


@pytest.mark.parametrize("kind", ["unused", "overflow"])
def test_no_warn_holds_inside_of_a_declaration(kind: str) -> None:
    _, diagnostics = check(
        f'@noWarn("{kind}") control c() {{ action a(bit<8> v) {{ }} apply {{ }} }} control c();'.replace(
            "control c();", "control k(); package P(k x); P(c()) main;"
        )
    )
    assert {warning.kind.value for warning in diagnostics.warnings} == (set() if kind == "unused" else {"unused"})


def test_a_parser_that_only_rejects() -> None:
    _, diagnostics = check("parser p() { state start { transition reject; } }")
    assert "unreachable" in {warning.kind.value for warning in diagnostics.warnings}


def test_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.p4"
    path.write_text(v1model("apply { bit<8> forgotten = 1; }"), encoding="utf-8")
    assert driver.main([str(path)]) == 0
    assert "warning[unused]: 'forgotten' is unused" in capsys.readouterr().err
    assert driver.main([str(path), "--Wdisable=unused"]) == 0
    assert capsys.readouterr().err == ""
    assert driver.main([str(path), "--Werror=unused"]) == 1
    assert "error[unused]" in capsys.readouterr().err
    assert (
        parse_arguments(["--Wdisable=ignore_prop", "x.p4"]).severities
        == parse_arguments(["--Wdisable=ignore-prop", "x.p4"]).severities
    )
