"""The verifier finds what a broken pass would leave behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from p4compiler.ir import expressions as ex
from p4compiler.ir import objects as ob
from p4compiler.ir import statements as st
from p4compiler.ir.program import Control, Parser, ParserState, Program, SelectCase, Transition
from p4compiler.ir.storage import Variable
from p4compiler.ir.types import Bits
from p4compiler.ir.verifier import VerificationError, verify_program
from tests.p4compiler.programs import lower, v1model


@pytest.fixture
def good(tmp_path: Path) -> Program:
    table = "action a(bit<8> v) { m.x = v; } table t { key = { m.x : exact; } actions = { a; } } apply { t.apply(); }"
    program, _ = lower(v1model(table), tmp_path)
    assert program is not None
    verify_program(program)
    return program


def with_ingress(program: Program, *statements: st.Statement) -> Program:
    return replace(program, ingress=Control(program.ingress.span, program.ingress.name, statements))


def foreign_variable(program: Program) -> Program:
    span = program.ingress.span
    place = ex.VariableValue(span, Variable(span, "nowhere", Bits(8)))
    return with_ingress(program, st.Assign(span, place, ex.Constant(span, 1, Bits(8))))


def wrong_width(program: Program) -> Program:
    span = program.ingress.span
    x = next(v for v in program.storage.variables if v.name == "userMetadata.x")
    return with_ingress(program, st.Assign(span, ex.VariableValue(span, x), ex.Constant(span, 1, Bits(16))))


def number_out_of_range(program: Program) -> Program:
    span = program.ingress.span
    x = next(v for v in program.storage.variables if v.name == "userMetadata.x")
    return with_ingress(program, st.Assign(span, ex.VariableValue(span, x), ex.Constant(span, 256, Bits(8))))


def leave_outside(program: Program) -> Program:
    return with_ingress(program, st.Leave(program.ingress.span, st.Label("gone")))


def parameter_of_nobody(program: Program) -> Program:
    span = program.ingress.span
    x = next(v for v in program.storage.variables if v.name == "userMetadata.x")
    value = ex.ParameterValue(span, ex.Parameter(span, "v", Bits(8)))
    return with_ingress(program, st.Assign(span, ex.VariableValue(span, x), value))


def unknown_table(program: Program) -> Program:
    return replace(program, objects=replace(program.objects, tables=()))


def unknown_action(program: Program) -> Program:
    return replace(program, objects=replace(program.objects, actions=()))


def default_without_its_argument(program: Program) -> Program:
    table = program.objects.tables[0]
    changed = ob.Table(
        table.span,
        table.name,
        table.annotations,
        table.hidden,
        keys=table.keys,
        actions=table.actions,
        default=ob.ActionCall(table.actions[0].action, ()),
        default_is_const=False,
        size=1,
        entries=None,
        entries_are_const=False,
        profile=None,
        direct_counter=None,
        direct_meter=None,
        support_timeout=False,
    )
    return with_ingress(replace(program, objects=replace(program.objects, tables=(changed,))))


def unknown_state(program: Program) -> Program:
    parser = program.parser
    transition = Transition(parser.span, (), (SelectCase(parser.span, (), "gone"),))
    state = ParserState(parser.span, "start", (), transition)
    return replace(program, parser=Parser(parser.span, parser.name, (state,)))


def extract_in_ingress(program: Program) -> Program:
    span = program.ingress.span
    return with_ingress(program, st.Extract(span, ex.OneHeader(span, program.storage.headers[0]), None))


@pytest.mark.parametrize(
    "breaks",
    [
        foreign_variable,
        wrong_width,
        number_out_of_range,
        leave_outside,
        parameter_of_nobody,
        unknown_table,
        unknown_action,
        default_without_its_argument,
        unknown_state,
        extract_in_ingress,
    ],
)
def test_finds(breaks: Callable[[Program], Program], good: Program) -> None:
    with pytest.raises(VerificationError):
        verify_program(breaks(good))
