"""P4Info: ids and aliases by their rules, and the text format against protobuf's own reading of it."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as some

from p4base.messages import p4i, p4r
from p4compiler import driver
from p4compiler.backends.p4info import messages as m
from p4compiler.backends.p4info.output import encode, format_text
from p4compiler.backends.p4info.symbols import Prefix, Symbols
from p4compiler.diagnostics import Diagnostics
from p4compiler.ir.objects import ControlPlaneObject
from p4compiler.source import SourceFile, Span
from tests.p4compiler.programs import compile_source, v1model

SPAN = Span(SourceFile("test.p4", ""), 0, 0)


def symbols_of(*names: str) -> Symbols:
    symbols = Symbols(Diagnostics())
    symbols.add(Prefix.ACTION, [ControlPlaneObject(SPAN, name, (), False) for name in names])
    symbols.allocate()
    return symbols


def info(source: str, directory: Path) -> p4i.P4Info:
    message = compile_source(source, directory).p4info.message
    return text_format.Parse(format_text(message), p4i.P4Info())


def test_ids_are_hashed_from_names() -> None:
    symbols = symbols_of("NoAction", "ingress.set_vrf")
    assert symbols.id_of(Prefix.ACTION, "NoAction") == 21257015  # as every P4 program knows it
    assert symbols.id_of(Prefix.ACTION, "ingress.set_vrf") >> 24 == 1


@pytest.mark.parametrize(
    ("names", "name", "alias"),
    [
        (("a.b.c",), "a.b.c", "c"),
        (("a.b.c", "a.d.c"), "a.b.c", "b.c"),
        (("c", "a.c"), "c", "c"),
        (("c", "a.c"), "a.c", "a.c"),
        (("x.y", "z.x.y"), "x.y", "x.y"),
    ],
)
def test_an_alias_is_the_shortest_unique_suffix(names: tuple[str, ...], name: str, alias: str) -> None:
    assert symbols_of(*names).alias_of(name) == alias


@given(some.lists(some.from_regex(r"[a-c](\.[a-c]){0,3}", fullmatch=True), min_size=1, unique=True))
def test_ids_and_aliases_are_unique(names: list[str]) -> None:
    symbols = symbols_of(*names)
    assert len({symbols.id_of(Prefix.ACTION, name) for name in names}) == len(names)
    aliases = [symbols.alias_of(name) for name in names]
    assert len(set(aliases)) == len(names)
    assert all(name == alias or name.endswith(f".{alias}") for name, alias in zip(names, aliases, strict=True))


@given(some.text(), some.binary())
def test_strings_and_bytes_survive_the_text_format(text: str, data: bytes) -> None:
    if any(0xD800 <= ord(c) < 0xE000 for c in text):
        return
    package = m.P4Info(m.PkgInfo(name=text))
    assert text_format.Parse(format_text(package), p4i.P4Info()).pkg_info.name == text
    entry = m.WriteRequest([m.Update(m.UpdateType.INSERT, m.Entity(m.TableEntry(
        1, [m.FieldMatch(1, exact=m.ExactMatch(data))], m.TableAction(m.RuntimeAction(2, [])), 0, False)))])  # fmt: skip
    parsed = text_format.Parse(format_text(entry), p4r.WriteRequest())
    assert parsed.updates[0].entity.table_entry.match[0].exact.value == data


SOURCE = v1model(
    """
    direct_counter(CounterType.packets_and_bytes) hits;
    register<bit<16>>(8) state;
    counter(4, CounterType.bytes) bytes;
    @brief("Sets it.") @max_group_size(7)
    action set(@id(7) bit<8> v, port_t p) { m.x = v; hits.count(); }
    @id(5) @unknown(a + "b")
    table t {
        key = { hdr.h.a : exact @name("first"); m.p : ternary @id(9); hdr.h.c[7:0] : range; }
        actions = { @tableonly set; @defaultonly NoAction; }
        const default_action = NoAction();
        counters = hits;
        size = 33;
    }
    apply { t.apply(); state.write(1, 2); bytes.count(1); digest<note_t>(1, { m.x, m.w }); }
    """,
    """
    struct note_t { bit<8> a; bit<16> b; }
    @controller_header("packet_in") header in_t { bit<9> port; bit<7> pad; }
    """,
).replace(
    "struct meta_t { bit<8> x;",
    '@p4runtime_translation("uri", string) type bit<9> port_t;\nstruct meta_t { port_t p; bit<8> x;',
)


def test_a_whole_program(tmp_path: Path) -> None:
    p4info = info(SOURCE, tmp_path)
    (table,) = p4info.tables
    assert table.preamble.id == 0x02000005 and list(table.preamble.annotations) == ['@unknown(a + "b")']
    assert [(f.id, f.name, f.bitwidth) for f in table.match_fields] == [
        (1, "first", 8), (9, "m.p", 0), (2, "hdr.h.c[7:0]", 8),
    ]  # fmt: skip
    assert table.match_fields[1].type_name.name == "port_t"
    assert [ref.scope for ref in table.action_refs] == [1, 2]
    assert table.const_default_action_id == 21257015 and table.size == 33
    (counter,) = p4info.direct_counters
    assert counter.direct_table_id == table.preamble.id and list(table.direct_resource_ids) == [counter.preamble.id]
    action = next(a for a in p4info.actions if a.preamble.name == "MyIngress.set")
    assert [(p.id, p.name, p.bitwidth) for p in action.params] == [(7, "v", 8), (2, "p", 0)]
    assert action.preamble.doc.brief == "Sets it."
    assert p4info.type_info.new_types["port_t"].translated_type.HasField("sdn_string")
    assert p4info.digests[0].preamble.name == "note_t"
    assert [m.name for m in p4info.type_info.structs["note_t"].members] == ["a", "b"]
    assert p4info.controller_packet_metadata[0].preamble.name == "packet_in"
    assert p4info.registers[0].size == 8 and p4info.counters[0].spec.unit == p4i.CounterSpec.BYTES


def test_a_digest_of_one_value(tmp_path: Path) -> None:
    p4info = info(v1model("apply { digest(1, hdr.h.a); digest<bool>(1, m.f); }"), tmp_path)
    assert [digest.preamble.name for digest in p4info.digests] == ["digest_0", "digest_1"]
    assert p4info.digests[0].type_spec.bitstring.bit.bitwidth == 8
    assert p4info.digests[1].type_spec.HasField("bool")


def test_formats_say_the_same(tmp_path: Path) -> None:
    message = compile_source(SOURCE, tmp_path).p4info.message
    text = text_format.Parse(encode(message, "text"), p4i.P4Info())
    binary = p4i.P4Info()
    binary.ParseFromString(encode(message, "binary"))
    assert text == binary
    assert b'"packet_in"' in encode(message, "json")


def test_entries_as_a_write_request(tmp_path: Path) -> None:
    source = v1model(
        """
        action a(bit<12> v) { m.w = (bit<16>)v; }
        table t {
            key = { hdr.h.a : exact; hdr.h.c : ternary; }
            actions = { a; }
            const entries = { (1, 0x10 &&& 0xf0): a(0x123); (2, _): a(2); }
        }
        apply { t.apply(); }
        """
    )
    request = text_format.Parse(format_text(compile_source(source, tmp_path).p4info.entries()), p4r.WriteRequest())
    first, second = (update.entity.table_entry for update in request.updates)
    assert (first.priority, second.priority) == (2, 1) and first.is_const
    assert first.match[1].ternary.value == b"\x00\x10" and len(second.match) == 1
    assert first.action.action.params[0].value == b"\x01\x23"


@pytest.mark.parametrize(
    ("element", "key", "kind"),
    [
        ("bit<8>", "m.x", None),
        ("int<8>", "m.i", None),
        ("plain_t", "m.x", None),
        ("serializable_t", "serializable_t.a", None),
        ("nested_t", "m.x", "unsupported"),
        ("flag_t", "m.f", "unsupported"),
        ("tuple<bit<8>, bit<8>>", "m.x, m.y", "unsupported"),
        ("bool", "m.f", "invalid"),
        ("error", "error.NoError", "invalid"),
    ],
)
def test_value_sets_that_p4runtime_cannot_describe(element: str, key: str, kind: str | None, tmp_path: Path) -> None:
    """They are no error where no P4Info is asked for."""
    parser = f"""
    enum bit<8> serializable_t {{ a = 1 }}
    struct plain_t {{ bit<8> a; }}
    struct nested_t {{ plain_t inner; }}
    struct flag_t {{ bool flag; }}
    parser MyParser(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {{
        value_set<{element}>(4) values;
        state start {{ p.extract(hdr.h); p.extract(hdr.g); transition select({key}) {{ values: more; default: accept; }} }}
        state more {{ transition accept; }}
    }}
    """
    _asks_for_p4info(v1model(parser=parser), kind, tmp_path)


@pytest.mark.parametrize(("type_", "kind"), [("bool", None), ("error", "type-error")])
def test_parameters_that_p4runtime_cannot_describe(type_: str, kind: str | None, tmp_path: Path) -> None:
    inside = f"action a({type_} given) {{ }} table t {{ key = {{ m.x : exact; }} actions = {{ a; }} }} apply {{ t.apply(); }}"
    _asks_for_p4info(v1model(inside), kind, tmp_path)


@pytest.mark.parametrize(("type_", "kind"), [("bit<8>", None), ("kind_t", "unsupported")])
def test_keys_that_p4runtime_cannot_describe(type_: str, kind: str | None, tmp_path: Path) -> None:
    inside = (
        f"{type_} k; action a() {{ }} table t {{ key = {{ k : exact; }} actions = {{ a; }} }}"
        f" apply {{ k = {'kind_t.one' if kind else '1'}; t.apply(); }}"
    )
    _asks_for_p4info(v1model(inside, "enum kind_t { one, two }"), kind, tmp_path)


def _asks_for_p4info(source: str, kind: str | None, tmp_path: Path) -> None:
    """Compile with P4Info, where an error of that kind is expected (None: no error), and without, where it is none."""
    program, out = tmp_path / "program.p4", tmp_path / "out"
    program.write_text(source, encoding="utf-8")
    common = ["--Wdisable", "-o", f"{out}.json", str(program)]
    assert driver.main(common) == 0
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        assert driver.main(["--p4runtime-files", f"{out}.txtpb", *common]) == (0 if kind is None else 1)
    assert kind is None or f"error[{kind}]: " in said.getvalue()
