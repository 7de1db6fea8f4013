"""Programs made to hurt: each ends in an error with a kind (or is fine), in bounded memory, without a failure of the compiler."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.p4compiler.programs import v1model

MEMORY = 1 << 30
SECONDS = 500
"""Only so that a test ends: each takes a second or two."""

LIMITED = f"""
import os, resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
os.execv(sys.executable, [sys.executable, "-m", "p4compiler", *sys.argv[1:]])
"""
"""The limit is set in the new process, not by `preexec_fn`: that would fork this one, with the gRPC threads of other tests in it."""

DEEP = 20_000


def _doubling(kind: str) -> str:
    """Thirty levels, each of which uses the one before twice."""
    match kind:
        case "functions":
            levels = (f"bit<8> f{i + 1}(in bit<8> a) {{ return f{i}(f{i}(a)); }}" for i in range(30))
            return v1model("apply { m.x = f30(m.x); }", "bit<8> f0(in bit<8> a) { return a; }" + "".join(levels))
        case "controls":
            first = "control C0(inout meta_t m) { apply { m.x = m.x + 1; } }"
            levels = (
                f"control C{i + 1}(inout meta_t m) {{ C{i}() a; C{i}() b; apply {{ a.apply(m); b.apply(m); }} }}"
                for i in range(30)
            )
            return v1model("C30() c; apply { c.apply(m); }", first + "".join(levels))
        case "parsers":
            first = "parser P0(inout meta_t m) { state start { m.x = m.x + 1; transition accept; } }"
            levels = (
                f"parser P{i + 1}(inout meta_t m) {{ P{i}() a; state start {{ a.apply(m); a.apply(m); transition accept; }} }}"
                for i in range(30)
            )
            parser = """parser MyParser(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
                P30() a; state start { a.apply(m); transition accept; } }\n"""
            return v1model(declarations=first + "".join(levels), parser=parser)
        case "structs":
            levels = (f"struct S{i + 1} {{ S{i} a; S{i} b; }}" for i in range(30))
            return v1model("S30 s; apply { }", "struct S0 { bit<8> a; }" + "".join(levels))
        case "tuples":
            levels = (f"typedef tuple<T{i}, T{i}> T{i + 1};" for i in range(30))
            return v1model("T30 s; apply { }", "typedef bit<8> T0;" + "".join(levels))
        case "macros":
            return "#define A0 x x\n" + "".join(f"#define A{i + 1} A{i} A{i}\n" for i in range(30)) + "A30\n"
        case "macro calls":
            return "#define A0(x) x x\n" + "".join(f"#define A{i + 1}(x) A{i}(A{i}(x))\n" for i in range(30)) + "A30(1)"
    raise AssertionError(kind)


RANGE = "1 .. 0xfffffffffffffffffffffffffffffffe"
RANGES = f"""parser MyParser(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {{
    bit<128> a; bit<128> b;
    state start {{ a = 1; b = 2; transition select(a, b, a) {{ ({RANGE}, {RANGE}, {RANGE}): accept; }} }}
}}\n"""

CASES: dict[str, tuple[str | bytes, str]] = {
    "parentheses": (v1model("apply { m.x = " + "(" * DEEP + "1" + ")" * DEEP + "; }"), "overlimit"),
    "ifs": (v1model("apply { " + "if (m.f) { " * DEEP + "}" * DEEP + "}"), "overlimit"),
    "operators": (v1model("apply { m.x = " + "m.y + " * DEEP + "1; }"), "overlimit"),
    "type arguments": (v1model(declarations="struct U { " + "S<" * DEEP + "bit<8>" + ">" * DEEP + " x; }"), "overlimit"),
    "macro arguments": ("#define F(x) x\n" + "F(" * DEEP + "1" + ")" * DEEP, "overlimit"),
    "macro chain": (
        "#define A0 1\n" + "".join(f"#define A{i + 1} A{i}\n" for i in range(DEEP)) + f"const bit<8> q = A{DEEP};",
        "overlimit",
    ),
    "recursive macro": ("#define A B B\n#define B A A\nA\n", "syntax-error"),
    "open conditionals": ("#if 1\n" * DEEP, "preprocessor"),
    "width": (v1model(declarations="struct U { bit<1000000000> x; }"), "overlimit"),
    "negative width": (v1model(declarations="struct U { bit<-1> x; }"), "invalid"),
    "shift": (v1model(declarations="const int A = 1 << 1000000000;"), "unsupported"),
    "squares": (
        v1model(
            declarations="const int A0 = 3;" + "".join(f"const int A{i + 1} = A{i} * A{i};" for i in range(60))
        ),
        "expr",
    ),
    "number": (v1model(declarations="const int A = " + "9" * 3_000_000 + ";"), "overlimit"),
    "string": (v1model('apply { log_msg("' + "a" * 3_000_000), "syntax-error"),
    "stack": (v1model().replace("s_t[3]", "s_t[1000000000]"), "overlimit"),
    "many variables": (
        v1model("".join(f"zz v{i};" for i in range(300)) + " apply { }", "struct zz { " + "".join(f"bit<8> f{i};" for i in range(2000)) + " }"),
        "overlimit",
    ),
    "array": (v1model("bit<8>[50000] a; apply { " + "a[m.w] = a[m.w] + 1;" * 100 + " }"), "overlimit"),
    "ranges": (v1model(parser=RANGES), "overlimit"),
    "comment without end": (v1model() + "/* " + "x" * 3_000_000, "syntax-error"),
    "text": ("const bit<8> a = 1; " * 500_000, "overlimit"),
    "overloads": (
        v1model(
            "apply { " + "m.x = f(a7 = m.x);" * 5_000 + " }",
            "".join(f"bit<8> f(in bit<8> a{i}, in bit<8> b = 1) {{ return a{i}; }}" for i in range(3_000)),
        ),
        "overlimit",
    ),
    "directives": ("#foo\n" * 1_100_000, "overlimit"),
    "zeros": (b"\0" * 1_000_000, "io"),
    "not UTF-8": (v1model().encode() + b"\xff\xfe \xc3\x28", "syntax-error"),
    "UTF-16": (v1model().encode("utf-16"), "io"),
    "include of itself": ('#include "hostile.p4"\n', "overlimit"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_hostile_program(name: str, tmp_path: Path) -> None:
    source, kind = CASES[name]
    _refused(source, kind, tmp_path)


@pytest.mark.parametrize("kind", ["functions", "controls", "parsers", "structs", "tuples", "macros", "macro calls"])
def test_doubling(kind: str, tmp_path: Path) -> None:
    _refused(_doubling(kind), "overlimit", tmp_path)


def _refused(source: str | bytes, kind: str, directory: Path) -> None:
    path = directory / "hostile.p4"
    path.write_bytes(source if isinstance(source, bytes) else source.encode())
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, "--Wdisable", str(path), "-o", str(directory / "out.json")],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert run.returncode == 1, run.stderr[-2000:]
    assert f"error[{kind}]" in run.stderr, run.stderr[:2000]
    assert "Traceback" not in run.stderr and "internal error" not in run.stderr
    assert len(run.stderr) < 20_000, "a message must not repeat the whole input"
