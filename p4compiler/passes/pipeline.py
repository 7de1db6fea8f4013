"""The order of the passes, and the loop that runs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from p4compiler.ir.program import Program
from p4compiler.ir.verifier import verify_program
from p4compiler.passes.copy_complex_operands import copy_complex_operands
from p4compiler.passes.merge_parser_states import merge_parser_states
from p4compiler.passes.simplify_control_flow import simplify_control_flow
from p4compiler.passes.synthesize_actions import synthesize_actions


@dataclass(frozen=True, slots=True)
class Pass:
    """`name` is what `--dump-after` takes."""

    name: str
    run: Callable[[Program], Program]


LOWERING = "lower-program"
"""The name under which `--dump-after` knows the IR before the first pass."""

PASSES = (
    Pass("simplify-control-flow", simplify_control_flow),
    Pass("merge-parser-states", merge_parser_states),
    Pass("copy-complex-operands", copy_complex_operands),
    Pass("synthesize-actions", synthesize_actions),
)


class PassError(Exception):
    """A pass failed, or left IR behind that is not well-formed: the compiler is wrong, not the program."""

    def __init__(self, name: str, cause: Exception) -> None:
        super().__init__(f"pass {name}: {cause}")
        self.pass_name = name


def run_passes(
    program: Program,
    after: Callable[[str, Program], None] = lambda name, program: None,
    *,
    verify_each: bool = True,
) -> Program:
    """All passes in order, the IR verified between them.

    Args:
        after: called after each pass (and before the first, as `lower-program`) with its name and the IR.
        verify_each: else only what comes out in the end is verified, and between the passes once something is wrong with it:
            a fifth of the time of all passes.

    Raises:
        PassError: a pass failed.
    """
    if verify_each:
        return _run(program, after, _verify)
    result = _run(program, after, lambda name, program: None)
    try:
        verify_program(result)
    except Exception:
        _run(program, lambda name, program: None, _verify)  # tells which pass it was
        raise
    return result


def _run(program: Program, after: Callable[[str, Program], None], verify: Callable[[str, Program], None]) -> Program:
    verify(LOWERING, program)
    after(LOWERING, program)
    for each in PASSES:
        try:
            program = each.run(program)
        except Exception as error:
            raise PassError(each.name, error) from error
        verify(each.name, program)
        after(each.name, program)
    return program


def _verify(name: str, program: Program) -> None:
    try:
        verify_program(program)
    except Exception as error:
        raise PassError(name, error) from error
