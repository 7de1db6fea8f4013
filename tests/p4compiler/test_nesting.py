"""The compiler gives back the recursion limit it borrows: other libraries of the process guard their stack by it."""

from __future__ import annotations

import sys
from pathlib import Path

from p4compiler.diagnostics import Diagnostics
from p4compiler.driver import main
from p4compiler.syntax import parse_file
from p4compiler.types.check import check_program


def test_recursion_limit_is_put_back(tmp_path: Path) -> None:
    source = tmp_path / "deep.p4"
    source.write_text("const bit<8> x = " + "(" * 300 + "1" + ")" * 300 + ";")
    before = sys.getrecursionlimit()
    diagnostics = Diagnostics()
    check_program(parse_file(str(source), [], [], diagnostics), diagnostics)
    assert sys.getrecursionlimit() == before
    main([str(source)])
    assert sys.getrecursionlimit() == before
