"""Small v1model programs for the tests of the compiler's middle and back, and the ways to compile them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from p4compiler.backends.bmv2.document import Document
from p4compiler.backends.bmv2.generate import generate_document
from p4compiler.backends.p4info.generate import GeneratedP4Info, generate_p4info
from p4compiler.diagnostics import Diagnostics
from p4compiler.ir.program import Program
from p4compiler.ir.verifier import verify_program
from p4compiler.lowering.program import lower_program
from p4compiler.passes.pipeline import run_passes
from p4compiler.syntax import parse_file
from p4compiler.types.check import check_program

_BEFORE = """\
#include <core.p4>
#include <v1model.p4>
header h_t { bit<8> a; bit<8> b; bit<16> c; }
header s_t { bit<8> v; bit<8> more; }
struct headers_t { h_t h; h_t g; s_t[3] s; }
struct meta_t { bit<8> x; bit<8> y; bit<16> w; bool f; int<8> i; }
"""

_PARSER = """\
parser MyParser(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    state start { p.extract(hdr.h); p.extract(hdr.g); transition accept; }
}
"""

_CONTROLS = """\
control MyVerify(inout headers_t hdr, inout meta_t m) { apply { } }
control MyIngress(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
INGRESS
}
control MyEgress(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) { apply { } }
control MyUpdate(inout headers_t hdr, inout meta_t m) { apply { } }
control MyDeparser(packet_out p, in headers_t hdr) { apply { p.emit(hdr); } }
V1Switch(MyParser(), MyVerify(), MyIngress(), MyEgress(), MyUpdate(), MyDeparser()) main;
"""


def v1model(ingress: str = "apply { }", declarations: str = "", parser: str = _PARSER) -> str:
    """A whole program around the inside of an ingress control.

    The headers are `hdr.h` and `hdr.g` (a, b: 8 bits, c: 16 bits), both extracted, and the stack `hdr.s` of three; the metadata
    is `m` (x, y: 8 bits, w: 16 bits, f: bool, i: int<8>). The deparser emits all headers.
    """
    return _BEFORE + declarations + "\n" + parser + _CONTROLS.replace("INGRESS", ingress)


@dataclass(frozen=True, slots=True)
class Compiled:
    """Everything the compiler makes of a program."""

    lowered: Program
    final: Program
    document: Document
    p4info: GeneratedP4Info


def lower(source: str, directory: Path) -> tuple[Program | None, Diagnostics]:
    """The IR before the passes, checked, and what there was to say."""
    path = directory / "test.p4"
    path.write_text(source, encoding="utf-8")
    return lower_file(path)


def lower_file(path: Path) -> tuple[Program | None, Diagnostics]:
    """The same of a file."""
    diagnostics = Diagnostics()
    tree = parse_file(str(path), [], [], diagnostics)
    assert not diagnostics.has_errors, diagnostics.render()
    checked = check_program(tree, diagnostics)
    assert not diagnostics.has_errors, diagnostics.render()
    program = lower_program(checked, str(path), diagnostics)
    if program is not None and not diagnostics.has_errors:
        verify_program(program)
    return program, diagnostics


def compile_source(source: str, directory: Path) -> Compiled:
    """Compile a program that must be good."""
    return _compile(*lower(source, directory))


def compile_file(path: Path) -> Compiled:
    """Compile a file that must be good."""
    return _compile(*lower_file(path))


def _compile(program: Program | None, diagnostics: Diagnostics) -> Compiled:
    assert program is not None and not diagnostics.has_errors, diagnostics.render()
    final = run_passes(program)
    document = generate_document(final, diagnostics)
    p4info = generate_p4info(program, diagnostics)
    assert not diagnostics.has_errors, diagnostics.render()
    return Compiled(program, final, document, p4info)


def target_errors(source: str, directory: Path) -> list[str]:
    """`line: message` of what the lowering and the back end refuse."""
    program, diagnostics = lower(source, directory)
    if program is not None and not diagnostics.has_errors:
        generate_document(run_passes(program), diagnostics)
    return [f"{e.span.position.line if e.span else 0}: {e.message}" for e in diagnostics.errors]
