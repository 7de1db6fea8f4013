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


def run_passes(program: Program, after: Callable[[str, Program], None] = lambda name, program: None) -> Program:
    """All passes in order, the IR verified between them.

    Args:
        after: called after each pass (and before the first, as `lower-program`) with its name and the IR.

    Raises:
        PassError: a pass failed.
    """
    _verify(LOWERING, program)
    after(LOWERING, program)
    for each in PASSES:
        try:
            program = each.run(program)
        except Exception as error:
            raise PassError(each.name, error) from error
        _verify(each.name, program)
        after(each.name, program)
    return program


def _verify(name: str, program: Program) -> None:
    try:
        verify_program(program)
    except Exception as error:
        raise PassError(name, error) from error
