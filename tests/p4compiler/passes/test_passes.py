"""Each pass on a small program: the IR before it and after it, as goldens (`pytest --update-goldens`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from p4compiler.ir.printer import print_program
from p4compiler.ir.program import Program, Storage
from p4compiler.passes import pipeline
from p4compiler.passes.pipeline import PASSES, Pass, PassError, run_passes
from tests.p4compiler.programs import lower, v1model

PARSER = """
parser MyParser(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    state start { p.extract(hdr.h); transition next; }
    state next { if (hdr.h.a == 1) { m.x = 1; } transition select(p.lookahead<bit<8>>() & 7, hdr.h.b) { (1, 2): last; } }
    state last { p.extract(hdr.g); transition accept; }
    state never { transition accept; }
}
"""

SOURCES = {
    "simplify-control-flow": v1model(
        "apply { if (m.f) { m.x = 1; exit; m.x = 2; } if (m.x == 1) { } if (m.x == 2) { return; } else { m.y = 1; return; } }"
    ),
    "merge-parser-states": v1model(parser=PARSER),
    "copy-complex-operands": v1model(
        """
        register<bit<8>>(4) r;
        register<int<8>>(4) s;
        action a() { r.write((bit<32>)m.x, m.x + 1); s.read(m.i, 0); digest<meta_t>(1, m); }
        table t { key = { m.x + 1 : exact @name("k"); hdr.h.a & 7 : ternary; hdr.h.isValid() : exact; } actions = { a; } }
        apply { t.apply(); }
        """,
        parser=PARSER,
    ),
    "synthesize-actions": v1model(
        """
        table t { key = { m.x : exact; } actions = { NoAction; } }
        apply { m.x = 1; m.y = 2; if (m.f) { m.x = 3; t.apply(); m.y = 4; } for (bit<8> k in 1 .. 3) { m.w = m.w + 1; } }
        """
    ),
}


def test_every_pass_has_a_case() -> None:
    assert [each.name for each in PASSES] == list(SOURCES)


@pytest.mark.parametrize("name", list(SOURCES))
def test_pass(name: str, tmp_path: Path, compare_golden: Callable[[Path, str], None]) -> None:
    program, _ = lower(SOURCES[name], tmp_path)
    assert program is not None
    shown: dict[str, str] = {}

    def keep(after: str, current: Program) -> None:
        text = print_program(current)
        shown[after] = (
            text[text.index("action NoAction") :] if "action NoAction" in text else text[text.index("parser ") :]
        )

    run_passes(program, keep)
    names = list(shown)
    before = shown[names[names.index(name) - 1]]
    compare_golden(
        Path(__file__).parent / "cases" / f"{name}.ir", f"// before\n{before}\n// after {name}\n{shown[name]}"
    )


def test_passes_are_idempotent_where_they_can_be(tmp_path: Path) -> None:
    """The first two find nothing more to do the second time."""
    program, _ = lower(SOURCES["merge-parser-states"], tmp_path)
    assert program is not None
    for each in PASSES[:2]:
        once = each.run(program)
        assert print_program(each.run(once)) == print_program(once)
        program = once


@pytest.mark.parametrize("verify_each", [True, False])
def test_a_pass_that_breaks_the_program_is_named(
    verify_each: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if only what comes out in the end is verified."""

    def forget(program: Program) -> Program:
        return replace(program, storage=Storage((), (), (), ()))

    passes = [Pass("forget-storage", forget), Pass("nothing", lambda program: program)]
    monkeypatch.setattr(pipeline, "PASSES", passes)
    program, _ = lower(v1model("apply { m.x = 1; }"), tmp_path)
    assert program is not None
    with pytest.raises(PassError, match="forget-storage"):
        run_passes(program, verify_each=verify_each)
