"""What all parts of the lowering share for one program."""

from __future__ import annotations

from p4compiler.diagnostics import Diagnostics, Kind
from p4compiler.ir.objects import Action, DigestList, ValueSet
from p4compiler.lowering.errors import Abandoned
from p4compiler.lowering.instances import ControlInstance, ExternInstance, Instance
from p4compiler.lowering.storage import StorageBuilder
from p4compiler.lowering.types import TypeLowering
from p4compiler.lowering.values import Value
from p4compiler.source import Span
from p4compiler.syntax import ast
from p4compiler.types.checked import CheckedProgram

MAX_CASES = 100_000
"""Of all selects, ranges taken apart into masks."""


class Session:
    """The state of one run.

    Attributes:
        globals: values of the constants and instances at the top level, made when first used.
        actions: IR actions for those at the top level.
        value_sets, digests: found so far, by declaration or name.
    """

    def __init__(self, checked: CheckedProgram, diagnostics: Diagnostics) -> None:
        self.checked = checked
        self.diagnostics = diagnostics
        self.types = TypeLowering(checked, diagnostics)
        self.storage = StorageBuilder(self.types, diagnostics)
        self.globals: dict[ast.Node, Value] = {}
        self.global_actions: dict[ast.Action, Action] = {}
        self.bound_actions: list[Action] = []
        """Of the top level, with arguments bound in a table's list."""
        self.externs: list[ExternInstance] = []
        self.instances: dict[ast.Node, Instance] = {}
        self.top_controls: list[ControlInstance] = []
        self.value_sets: dict[tuple[str, ast.ValueSet], ValueSet] = {}
        self.used_value_sets: set[ValueSet] = set()
        self.digests: dict[str, DigestList] = {}
        self.unnamed_digests = 0
        self.block = ""
        """The block of the package that is being lowered; the target does some things only in one of them."""
        self.inlined = 0
        """Calls that were inlined so far."""
        self.select_cases = 0
        """Cases of all selects so far, ranges taken apart."""
        self.effects: dict[ast.Expression, bool] = {}

    def count_select_cases(self, number: int, span: Span) -> None:
        """So many cases are about to be made.

        Raises:
            Abandoned: there are too many, which is reported.
        """
        self.select_cases += number
        if self.select_cases > MAX_CASES:
            raise self.refused(f"the selects have more than {MAX_CASES} cases", span, Kind.OVERLIMIT)

    def refused(self, message: str, span: Span, kind: Kind = Kind.UNSUPPORTED_ON_TARGET) -> Abandoned:
        """Report an error; to be raised, which gives up what is being lowered."""
        self.diagnostics.error(kind, message, span)
        return Abandoned(message)
