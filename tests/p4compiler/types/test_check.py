"""What the checker finds out of right programs: types, constants, calls, type arguments."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4compiler.syntax import ast
from p4compiler.types import constants, model
from p4compiler.types.checked import CallKind, CheckedProgram, ResolvedCall
from tests.p4compiler.front_end import accept, check


def nodes(node: object) -> Iterator[ast.Node]:
    """A tree's nodes, from the top down."""
    if isinstance(node, ast.Node):
        yield node
        for name in type(node).__match_args__:
            if name != "span":
                yield from nodes(getattr(node, name))
    elif isinstance(node, tuple):
        for child in node:
            yield from nodes(child)


def value(text: str, declared: str = "") -> object:
    """The value of a constant `x`, the last declaration."""
    checked = accept(f"{declared}\n{text}")
    constant = checked.program.declarations[-1]
    assert isinstance(constant, ast.Constant)
    return checked.constant_of[constant.value]


def calls(checked: CheckedProgram, name: str) -> list[ResolvedCall]:
    return [call for call in checked.call_of.values() if call.method == name]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("const bit<8> x = 255 + 1;", 0),
        ("const bit<8> x = 8w255 + 1;", 0),
        ("const int<8> x = 127 + 8s1;", -128),
        ("const int x = 1 << 100;", 1 << 100),
        ("const bit<8> x = 8w200 |+| 100;", 255),
        ("const int<8> x = -8s100 |-| 100;", -128),
        ("const bit<8> x = ~8w0;", 255),
        ("const bit<8> x = -8w1;", 255),
        ("const bit<12> x = 4w0xa ++ 8w0xbc;", 0xABC),
        ("const bit<4> x = 8w0xab[7:4];", 0xA),
        ("const bit<4> x = 8w0xab[4 +: 4];", 0xA),
        ("const bit<8> x = 0xabcd[11:4];", 0xBC),
        ("const int N = -1; const bit<70> x = N[100:31];", (1 << 70) - 1),
        ("const int<8> x = (int<8>)8w255;", -1),
        ("const bit<8> x = (bit<8>)(bit<4>)8w0xab;", 0xB),
        ("const bool x = (bool)1w1;", True),
        ("const bit<1> x = (bit<1>)true;", 1),
        ("const int x = (int)8s255 >> 1;", -1),
        ("const bool x = 3 < 4 && 8w3 != 4;", True),
        ("const bit<8> x = true ? 8w1 : 2;", 1),
        ("const int x = 17 / 5 * 10 + 17 % 5;", 32),
        ('const string x = "a" ++ "b";', "ab"),
        ("const tuple<bit<8>, bool> x = { 256, true };", (0, True)),
        ("struct S { bit<8> a; bool b; } const S x = { b = false, a = 3 };", {"a": 3, "b": False}),
        ("struct S { bit<8> a; } const S s = { 7 }; const bit<8> x = s.a;", 7),
        ("enum bit<8> E { A = 1, B = A + 1 } const bit<8> x = E.B + 1;", 3),
        ("enum bit<8> E { A = 1 } const E x = (E)8w1;", "A"),
        ("error { Bad } const error x = error.Bad;", "Bad"),
        ("header H { bit<8> a; varbit<16> v; } const int x = H.minSizeInBits() + H.maxSizeInBytes();", 8 + 3),
        ("header H { bit<8> a; } const H[2] h = { {#}, {#} }; const int x = h[2].minSizeInBits();", 8),
        ("type bit<8> T; const T x = 300;", 44),
        ("const int W = 4; const bit<(W * 2)> x = 257;", 1),
    ],
)
def test_compile_time_values(text: str, expected: object) -> None:
    assert value(text) == expected


@given(
    st.sampled_from(["+", "-", "*", "&", "|", "^", "<<", ">>", "|+|", "|-|", "==", "<", ">="]),
    st.integers(1, 70),
    st.booleans(),
    st.integers(-(1 << 70), 1 << 70),
    st.integers(-(1 << 70), 1 << 70),
)
def test_folding_agrees_with_pythons_integers(operator: str, width: int, signed: bool, left: int, right: int) -> None:
    """Any constant expression on values of one width: the same as computing without bounds, then cutting."""
    width = max(width, 2)
    type_ = model.bits(width, signed)
    left, right = constants.wrap(left, type_), constants.wrap(right, type_)
    if operator in ("<<", ">>"):
        right = abs(right) % 80
    low, high = constants.limits(type_)
    exact = {
        "+": left + right,
        "-": left - right,
        "*": left * right,
        "&": left & right,
        "|": left | right,
        "^": left ^ right,
        "|+|": min(max(left + right, low), high),
        "|-|": min(max(left - right, low), high),
        "<<": left << right if operator == "<<" else 0,
        ">>": left >> right if operator == ">>" else 0,
        "==": left == right,
        "<": left < right,
        ">=": left >= right,
    }[operator]
    expected = exact if isinstance(exact, bool) else ((exact - low) % (1 << width)) + low
    word = f"{'int' if signed else 'bit'}<{width}>"
    result = "bool" if isinstance(exact, bool) else word
    amount = str(right) if operator in ("<<", ">>") else f"({word})({right})"
    assert value(f"const {result} x = ({word})({left}) {operator} {amount};") == expected


@given(st.integers(1, 80), st.booleans(), st.integers())
def test_wrapping_keeps_the_low_bits_and_the_range(width: int, signed: bool, number: int) -> None:
    type_ = model.bits(width, signed)
    wrapped = constants.wrap(number, type_)
    low, high = constants.limits(type_)
    assert low <= wrapped <= high
    assert (wrapped - number) % (1 << width) == 0


def test_literals_take_their_width_from_the_context() -> None:
    checked = accept("control c(inout bit<8> a, in bit<16> b) { apply { a = 1 + a; if (b == 0x1ffff) { a = 3; } } }")
    literals = {
        n.value: checked.type_of[n]
        for n in nodes(checked.program)
        if isinstance(n, ast.IntegerLiteral)
        if n in checked.type_of and n.width is None and checked.type_of[n] != model.INT
    }
    assert literals == {1: model.bits(8), 0x1FFFF: model.bits(16), 3: model.bits(8)}
    constants_found = {
        checked.constant_of[n]
        for n in nodes(checked.program)
        if isinstance(n, ast.IntegerLiteral) and n.value == 0x1FFFF
    }
    assert constants_found == {0xFFFF}


def test_type_arguments_are_inferred() -> None:
    checked = accept(
        "extern void f<T, D>(out T x, in T y, in D d); struct S { bit<8> a; bool b; }"
        "control c(inout S s) { apply { f(s.a, 1, { s.b, 8w1 }); } }"
    )
    (call,) = calls(checked, "f")
    assert [str(t) for t in call.type_arguments] == ["bit<8>", "tuple<bool, bit<8>>"]
    assert [str(t) for t in call.parameter_types] == ["bit<8>", "bit<8>", "tuple<bool, bit<8>>"]
    assert call.kind is CallKind.EXTERN_FUNCTION


def test_a_package_takes_its_type_arguments_from_its_blocks() -> None:
    checked = accept(
        "control C<H, M>(inout H h, in M m); package P<H, M>(C<H, M> a, C<H, M> b); struct S { } struct T { }"
        "control one(inout S h, in T m) { apply { } } P(one(), one()) main;"
    )
    assert checked.main is not None
    assert str(checked.resolved_type_of[checked.main]) == "P<S, T>"
    assert checked.call_of[checked.main].kind is CallKind.CONSTRUCTOR


def test_a_methods_types_come_from_its_object() -> None:
    checked = accept(
        "extern Reg<T, I> { Reg(bit<32> size); void read(out T x, in I i); }"
        "control c(inout bit<8> x) { Reg<bit<8>, bit<4>>(16) r; apply { r.read(x, 3); } }"
    )
    (call,) = calls(checked, "read")
    assert [str(t) for t in call.parameter_types] == ["bit<8>", "bit<4>"]
    assert call.owner is not None
    assert call.owner.name.text == "Reg"


def test_named_and_omitted_arguments_are_put_in_order() -> None:
    checked = accept(
        "extern void f(in bit<8> a, in bit<8> b = 7, @optional in bit<8> c); control x() { apply { f(b = 2, a = 1); f(3); } }"
    )
    first, second = calls(checked, "f")
    assert [None if a is None else checked.constant_of[a] for a in first.arguments] == [1, 2, None]
    assert [None if a is None else checked.constant_of[a] for a in second.arguments] == [3, None, None]


def test_overloads_are_told_apart_by_their_arguments() -> None:
    checked = accept(
        'extern void log(string m); extern void log<T>(string m, in T d); control c() { apply { log("a"); log("b", 8w1); } }'
    )
    assert [len(call.parameters) for call in calls(checked, "log")] == [1, 2]


def test_lists_become_the_structs_they_are_used_as() -> None:
    checked = accept(
        "struct I { bit<8> a; } struct S { I i; bool b; } control c(inout S s) { apply { s = { { 1 }, true }; } }"
    )
    found = {str(checked.type_of[n]) for n in nodes(checked.program) if isinstance(n, ast.ListExpression)}
    assert found == {"S", "I"}


def test_generic_structs_have_their_fields_substituted() -> None:
    checked = accept("struct G<T> { T x; tuple<T, bool> y; } control c(inout G<bit<8>> g) { apply { g.x = 1; } }")
    found = {str(t): [str(f.type) for f in fields] for t, fields in checked.fields_of.items()}
    assert found["G<bit<8>>"] == ["bit<8>", "tuple<bit<8>, bool>"]


def test_serializable_enums_are_converted_where_a_number_is_needed() -> None:
    checked = accept("enum bit<8> E { A = 5 } control c(inout bit<8> x, in E e) { apply { x = e; x = x + E.A; } }")
    assert sorted(str(t) for t in checked.cast_of.values()) == ["bit<8>", "bit<8>"]
    assert list(checked.enum_value_of.values()) == [5]


def test_states_may_refer_to_each_other() -> None:
    checked = accept(
        "parser p(in bit<8> x) { state start { transition b; } state b { transition select(x) { 1 .. 3: a; 5 &&& 7: b; _: accept; } }"
        " state a { transition reject; } }"
    )
    targets = [d.name.text for n, d in checked.declaration_of.items() if isinstance(n, ast.Name)]
    assert sorted(targets) == ["a", "b", "b"]


def test_every_reference_to_an_action_is_a_call() -> None:
    checked = accept(
        "match_kind { exact } control c(inout bit<8> x) { action a(in bit<8> i, bit<8> j) { x = i + j; }"
        " table t { key = { x : exact; } actions = { a(x); } default_action = a(x, 2); entries = { 1: a(x, 3); } }"
        " apply { t.apply(); } }"
    )
    assert len(calls(checked, "a")) == 3
    assert all(call.kind is CallKind.ACTION for call in calls(checked, "a"))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("const bit<8> x = 256;", "overflow"),
        ("const int<8> x = 128;", "overflow"),
        ("const bit<8> x = 8w1 << 8;", "overflow"),
        ("parser p() { state start { } }", "parser-transition"),
        ("parser p() { state start { transition accept; } state b { transition accept; } }", "unused"),
        ('@deprecated("no more") extern void f(); control c() { apply { f(); } }', "deprecated"),
        ("control c(in bit<8> x) { bit<8> y; apply { bit<8> y; } }", "shadow"),
    ],
)
def test_warnings(text: str, kind: str) -> None:
    _, diagnostics = check(text)
    assert not diagnostics.has_errors
    assert kind in [warning.kind.value for warning in diagnostics.warnings]


def test_the_built_in_architecture_is_right() -> None:
    checked = accept(
        """#include <v1model.p4>
header eth_t { bit<48> dst; bit<48> src; bit<16> kind; }
struct headers_t { eth_t eth; eth_t[2] more; }
struct meta_t { bit<16> hash; bit<8> color; }
parser MyParser(packet_in pkt, out headers_t hdr, inout meta_t meta, inout standard_metadata_t std) {
    state start { pkt.extract(hdr.eth); transition select(hdr.eth.kind) { 0x800: more; default: accept; } }
    state more { pkt.extract(hdr.more.next); transition select(hdr.more.last.kind) { 0x800: more; _: accept; } }
}
control MyVerify(inout headers_t hdr, inout meta_t meta) { apply { } }
control MyIngress(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t std) {
    register<bit<16>>(1024) r;
    counter(16, CounterType.packets) n;
    direct_meter<bit<8>>(MeterType.bytes) m;
    action drop() { mark_to_drop(std); }
    action forward(bit<9> port) { m.read(meta.color); std.egress_spec = port; }
    table t {
        key = { hdr.eth.dst : exact; hdr.eth.isValid() : ternary; std.ingress_port : selector; }
        actions = { forward; drop; NoAction; }
        implementation = action_selector(HashAlgorithm.crc16, 64, 10);
        meters = m;
        default_action = drop();
    }
    apply {
        hash(meta.hash, HashAlgorithm.crc16, 16w0, { hdr.eth.dst, hdr.eth.src }, 32w1024);
        r.write((bit<32>)meta.hash, 1);
        n.count(3);
        if (t.apply().hit && hdr.eth.isValid()) { hdr.eth.setInvalid(); hdr.more.push_front(1); }
        switch (t.apply().action_run) { forward: { digest<meta_t>(1, meta); } default: { } }
    }
}
control MyEgress(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t std) { apply { } }
control MyCompute(inout headers_t hdr, inout meta_t meta) {
    apply { update_checksum(true, { hdr.eth.dst }, hdr.eth.kind, HashAlgorithm.csum16); }
}
control MyDeparser(packet_out pkt, in headers_t hdr) { apply { pkt.emit(hdr); } }
V1Switch(MyParser(), MyVerify(), MyIngress(), MyEgress(), MyCompute(), MyDeparser()) main;
"""
    )
    assert checked.main is not None
    assert str(checked.resolved_type_of[checked.main]) == "V1Switch<headers_t, meta_t>"
    assert checked.match_kinds == ["exact", "ternary", "lpm", "range", "optional", "selector"]
