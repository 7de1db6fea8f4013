"""What the lowering makes of P4: small pieces of an ingress control and the IR they become.

A case is a file: declarations of the top level (if any) above `// ingress`, the inside of the control below it, then `----`
and the printed IR of the actions and of ingress. `pytest --update-goldens` writes the IR anew.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from p4compiler.ir.printer import print_program
from p4compiler.ir.program import Program
from tests.p4compiler.programs import lower, target_errors, v1model

CASES = sorted((Path(__file__).parent / "cases").glob("*.case"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path, tmp_path: Path, compare_golden: Callable[[Path, str], None]) -> None:
    source = path.read_text(encoding="utf-8").partition("----\n")[0]
    above, _, inside = source.rpartition("// ingress\n")
    declarations, found, parser = above.partition("// parser\n")
    text = v1model(inside, declarations, parser) if found else v1model(inside, declarations)
    program, diagnostics = lower(text, tmp_path)
    assert program is not None and not diagnostics.has_errors, diagnostics.render()
    compare_golden(path, f"{source}----\n{body_of(program, bool(found))}")


def body_of(program: Program, with_parser: bool) -> str:
    text = print_program(program)
    blocks = text.split("\n}\n")
    wanted = []
    for block in blocks:
        head = block[block.rfind("\n", 0, block.find("{")) + 1 :] if "{" in block else block
        kind = head.split(" ", 1)[0]
        is_used = kind in ("action", "hidden", "table", "ingress") or (with_parser and kind == "parser")
        if is_used and not head.startswith("action NoAction"):
            wanted.append(head + "\n}\n")
    return "".join(wanted)


def test_unused_tables_and_actions_leave_nothing_behind(tmp_path: Path) -> None:
    program, _ = lower(
        v1model(
            """
            action used() { m.x = 1; }
            action unused() { m.x = 2; }
            table never { actions = { unused; } key = { m.x : exact; } }
            table applied { actions = { used; } key = { m.x : exact; } }
            apply { applied.apply(); }
            """
        ),
        tmp_path,
    )
    assert program is not None
    assert [table.name for table in program.objects.tables] == ["MyIngress.applied"]
    assert [action.name for action in program.objects.actions] == ["NoAction", "MyIngress.used"]


@pytest.mark.parametrize(
    ("table", "is_copied"), [("", False), ("table t { key = { v : exact; } actions = { NoAction; } }", True)]
)
def test_one_instance_applied_twice_works_on_copies_if_it_has_tables(
    table: str, is_copied: bool, tmp_path: Path
) -> None:
    program, diagnostics = lower(
        v1model(
            "inner() i; apply { i.apply(m.x); i.apply(m.y); }",
            f"control inner(inout bit<8> v) {{ {table} apply {{ v = v + 1; {'t.apply();' if table else ''} }} }}",
        ),
        tmp_path,
    )
    assert program is not None and not diagnostics.has_errors
    text = body_of(program, False)
    # What was there comes back.
    assert ("userMetadata.x = MyIngress.tmp" in text) is is_copied
    assert "userMetadata.y = " in text


@pytest.mark.parametrize(
    ("ingress", "message"),
    [
        ("apply { hdr.s.push_front(1); }", ""),
        ("table t { key = { m.x : exact; } actions = { NoAction; } size = 1; } apply { if (m.f) { t.apply(); m.x = 1; }"
         " else { t.apply(); m.x = 2; } }", "is applied more than once"),
    ],
)  # fmt: skip
def test_what_the_target_cannot_do_is_told_apart(ingress: str, message: str, tmp_path: Path) -> None:
    errors = target_errors(v1model(ingress), tmp_path)
    assert (not errors) if not message else (len(errors) == 1 and message in errors[0])


def test_a_package_of_another_shape_is_no_target(tmp_path: Path) -> None:
    source = """
    parser P(); control C(); package V1Switch(P p, C c);
    parser MyP() { state start { transition accept; } } control MyC() { apply { } }
    V1Switch(MyP(), MyC()) main;
    """
    errors = target_errors(source, tmp_path)
    assert len(errors) == 1 and "not the package of this architecture" in errors[0]


def test_messages_that_would_stop_the_target(tmp_path: Path) -> None:
    """BMv2 ends where a message has not as many places as values, and does not see a place at its very beginning."""
    source = v1model(r'apply { log_msg("{} of {}", { m.x, m.y }); log_msg("a \\{} {}", { m.x, m.y }); }')
    program, diagnostics = lower(source, tmp_path)
    assert program is not None and not diagnostics.has_errors
    assert 'log_msg(" {} of {}"' in body_of(program, False)
    (warning,) = diagnostics.warnings
    assert "the message has 1 place(s) for 2 value(s)" in warning.message
