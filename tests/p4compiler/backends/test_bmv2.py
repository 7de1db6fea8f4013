"""The BMv2 JSON: what its format asks for that is easy to get wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.p4compiler.programs import compile_source, target_errors, v1model


def document(source: str, directory: Path) -> Any:
    return json.loads(compile_source(source, directory).document.serialize())


def named(items: list[Any], name: str) -> Any:
    return next(item for item in items if item["name"] == name)


def primitives(document: Any) -> list[Any]:
    return [primitive for action in document["actions"] for primitive in action["primitives"]]


def test_select_values_are_padded_by_field(tmp_path: Path) -> None:
    """A 4-bit and a 12-bit key: one byte and two."""
    parser = """
    header bits_t { bit<4> n; bit<12> t; }
    parser MyParser(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
        state start {
            p.extract(hdr.h);
            transition select(hdr.h.a[3:0], hdr.h.c[11:0]) { (0x5, 0xabc): one; (_, 0x800 &&& 0xf00): accept; _: one; }
        }
        state one { transition accept; }
    }
    """
    start = document(v1model(parser=parser), tmp_path)["parsers"][0]["parse_states"][0]
    assert [(t["type"], t["value"], t["mask"]) for t in start["transitions"]] == [
        ("hexstr", "0x050abc", None),
        ("hexstr", "0x000800", "0x000f00"),
        ("default", None, None),
    ]


def test_a_select_without_default_still_has_one(tmp_path: Path) -> None:
    parser = """
    parser MyParser(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
        state start { p.extract(hdr.h); transition select(hdr.h.a) { 1: more; } }
        state more { p.extract(hdr.g); transition accept; }
    }
    """
    start = document(v1model(parser=parser), tmp_path)["parsers"][0]["parse_states"][0]
    assert start["transitions"][-1] == {"type": "default", "value": None, "mask": None, "next_state": None}


VALUE_SETS = """
    parser MyParser(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
        value_set<bit<8>>(4) idle;
        value_set<bit<8>>(4) vs;
        state start { p.extract(hdr.h); transition select(hdr.h.a) { vs: accept; } }
    }
    """


def test_a_value_set_that_no_state_selects_by_leaves_nothing(tmp_path: Path) -> None:
    compiled = compile_source(v1model(parser=VALUE_SETS), tmp_path)
    assert [value_set["name"] for value_set in json.loads(compiled.document.serialize())["parse_vsets"]] == [
        "MyParser.vs"
    ]
    assert [value_set.preamble.name for value_set in compiled.p4info.message.value_sets] == ["MyParser.vs"]


def test_a_range_of_a_signed_key_goes_through_zero(tmp_path: Path) -> None:
    parser = """
    parser MyParser(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
        state start { p.extract(hdr.h); transition select((int<8>)hdr.h.a) { -2 .. 4: more; } }
        state more { p.extract(hdr.g); transition accept; }
    }
    """
    start = document(v1model(parser=parser), tmp_path)["parsers"][0]["parse_states"][0]
    assert [(t["value"], t["mask"]) for t in start["transitions"][:-1]] == [
        ("0xfe", "0xfe"),
        ("0x00", "0xfc"),
        ("0x04", None),
    ]


def test_a_union_is_copied_header_by_header(tmp_path: Path) -> None:
    """BMv2's own assign_union leaves fields behind that nothing else computes with."""
    source = v1model("u_t a; u_t b; apply { a = b; }", declarations="header_union u_t { h_t h; s_t s; }")
    copies = [p["parameters"] for p in primitives(document(source, tmp_path)) if p["op"] == "assign_header"]
    assert [[header["value"].rpartition(".")[2] for header in pair] for pair in copies] == [["h", "h"], ["s", "s"]]


def test_places_are_those_of_names_and_keywords(tmp_path: Path) -> None:
    """As p4c writes them: a declaration's place is its name, a conditional's its keyword, an entry's ends before the `;`."""
    source = v1model(
        """
        @name("c1") counter(4, CounterType.bytes) c;
        action a(bit<8> v) { if (m.x == v) { exit; } bit<8> t = v + 1; m.y = t; c.count(1); }
        @hidden table tab { key = { hdr.h.a : exact; } actions = { a; } const entries = { 5 : a(1) @x; } }
        apply { tab.apply(); }
        """
    )
    made = document(source, tmp_path)
    ingress = named(made["pipelines"], "ingress")
    table = named(ingress["tables"], "MyIngress.tab")
    places = [ingress, table, table["entries"][0], made["counter_arrays"][0], *primitives(made)[:5]]
    assert [place["source_info"]["source_fragment"] for place in places] == [
        "MyIngress",
        "tab",
        "5 : a(1)",
        "c",
        "if",
        "exit",
        "exit",
        "t = v + 1",
        "m.y = t",
    ]


def test_a_table_names_actions_or_hit_and_miss(tmp_path: Path) -> None:
    source = v1model(
        """
        action a() { m.x = 1; }
        table t { key = { m.x : exact; } actions = { a; } }
        table u { key = { m.y : exact; } actions = { a; } }
        apply { if (t.apply().hit) { m.y = 1; } u.apply(); }
        """
    )
    tables = document(source, tmp_path)["pipelines"][0]["tables"]
    hit = named(tables, "MyIngress.t")
    assert set(hit["next_tables"]) == {"__HIT__", "__MISS__"}
    assert hit["base_default_next"] is None
    plain = named(tables, "MyIngress.u")
    assert plain["next_tables"] == {"MyIngress.a": None, "NoAction": None}
    assert hit["next_tables"]["__MISS__"] == "MyIngress.u"


def test_entries_of_every_match_kind(tmp_path: Path) -> None:
    source = v1model(
        """
        action a(bit<8> v) { m.x = v; }
        table t {
            key = { hdr.h.a : exact; hdr.h.b : ternary; hdr.h.c : range; m.w : lpm; m.x : optional; }
            actions = { a; }
            const default_action = a(9);
            const entries = {
                (1, 2 &&& 3, 4 .. 5, 0xff00 &&& 0xff00, 6): a(1);
                (2, _, _, _, _): a(2);
            }
        }
        apply { t.apply(); }
        """
    )
    table = named(document(source, tmp_path)["pipelines"][0]["tables"], "MyIngress.t")
    assert table["match_type"] == "range"
    assert [key["match_type"] for key in table["key"]] == ["exact", "ternary", "range", "lpm", "ternary"]
    first, second = table["entries"]
    assert first["match_key"] == [
        {"match_type": "exact", "key": "0x01"},
        {"match_type": "ternary", "key": "0x02", "mask": "0x03"},
        {"match_type": "range", "start": "0x0004", "end": "0x0005"},
        {"match_type": "lpm", "key": "0xff00", "prefix_length": 8},
        {"match_type": "ternary", "key": "0x06", "mask": "0xff"},
    ]
    assert second["match_key"][2] == {"match_type": "range", "start": "0x0000", "end": "0xffff"}
    assert second["match_key"][3] == {"match_type": "lpm", "key": "0x0000", "prefix_length": 0}
    assert (first["priority"], second["priority"]) == (1, 2)
    default = table["default_entry"]
    assert default["action_const"] and default["action_entry_const"] and default["action_data"] == ["0x9"]


@pytest.mark.parametrize(("largest", "order"), [("true", ["0x2", "0x1"]), ("false", ["0x1", "0x2"])])
def test_written_priorities_order_the_entries(largest: str, order: list[str], tmp_path: Path) -> None:
    source = v1model(
        f"""
        action a(bit<8> v) {{ m.x = v; }}
        table t {{
            key = {{ hdr.h.b : ternary; }} actions = {{ a; }} largest_priority_wins = {largest};
            entries = {{ priority = 10: 1 &&& 1 : a(1); priority = 20: 3 &&& 3 : a(2); }}
        }}
        apply {{ t.apply(); }}
        """
    )
    entries = named(document(source, tmp_path)["pipelines"][0]["tables"], "MyIngress.t")["entries"]
    assert [entry["action_entry"]["action_data"][0] for entry in entries] == order
    assert [entry["priority"] for entry in entries] == [1, 2]


def test_arithmetic_is_brought_back_into_range(tmp_path: Path) -> None:
    source = v1model("apply { m.x = m.x + 1; m.i = m.i - 1; m.f = m.x == 3; m.w = m.w << m.w; }")
    text = json.dumps(primitives(document(source, tmp_path)))
    assert '"op": "two_comp_mod"' in text
    assert '"value": "0xff"' in text
    assert '"op": "b2d"' in text
    assert '"op": "?"' in text  # a shift by 65535 must not make a number of 64 kbit


def test_negative_constants_are_bits_where_the_target_reads_bytes(tmp_path: Path) -> None:
    source = v1model(
        """
        action a(int<8> x, int<12> y) { m.i = x; }
        table t { key = { m.x : exact; } actions = { a; } default_action = a(-1, -2); const entries = { 1: a(-3, 4); } }
        apply {
            hash(m.w, HashAlgorithm.crc16, 16w0, { hdr.h.a, -8s5, -12s5 }, 16w100);
            t.apply();
        }
        """
    ).replace(
        "MyUpdate(inout headers_t hdr, inout meta_t m) { apply { }",
        "MyUpdate(inout headers_t hdr, inout meta_t m)"
        " { apply { update_checksum(true, { hdr.h.a, -8s3 }, hdr.h.c, HashAlgorithm.csum16); }",
    )
    loaded = document(source, tmp_path)
    inputs = [[i for i in calculation["input"] if i["type"] == "hexstr"] for calculation in loaded["calculations"]]
    assert [[(i["value"], i["bitwidth"]) for i in constants] for constants in inputs] == [
        [("0xfb", 8), ("0x0ffb", 12)],
        [("0xfd", 8)],
    ]
    table = named(loaded["pipelines"][0]["tables"], "MyIngress.t")
    assert table["default_entry"]["action_data"] == ["0xff", "0xffe"]
    assert table["entries"][0]["action_entry"]["action_data"] == ["0xfd", "0x4"]


def test_a_digest_holds_only_fields(tmp_path: Path) -> None:
    """The target knows nothing else there, not even constants."""
    source = v1model(
        "apply { digest<d_t>(1, { 3, -4, true, hdr.h.a }); }", "struct d_t { bit<8> a; int<8> i; bool t; bit<8> b; }"
    )
    loaded = document(source, tmp_path)
    assert [e["type"] for e in loaded["learn_lists"][0]["elements"]] == ["field"] * 4


def test_a_digest_of_one_value(tmp_path: Path) -> None:
    """Not only structures are sent: the list has one element, and the control plane's name for it is made up."""
    loaded = document(v1model("apply { digest(1, hdr.h.a); digest(2, 9w3); }"), tmp_path)
    assert [len(learnt["elements"]) for learnt in loaded["learn_lists"]] == [1, 1]
    assert [learnt["name"] for learnt in loaded["learn_lists"]] == ["digest_0", "digest_1"]


def test_jumps_inside_an_action(tmp_path: Path) -> None:
    source = v1model(
        """
        action a() { if (m.f) { m.x = 1; return; } else { m.x = 2; } m.y = 3; exit; }
        table t { key = { m.x : exact; } actions = { a; } }
        apply { t.apply(); }
        """
    )
    body = named(document(source, tmp_path)["actions"], "MyIngress.a")["primitives"]
    jumps = [(p["op"], p["parameters"][-1]["value"]) for p in body if p["op"].startswith("_jump")]
    assert [p["op"] for p in body].count("exit") == 1
    targets = [int(target, 16) for _, target in jumps]
    assert all(0 <= target <= len(body) for target in targets)
    returns = [p for p in body if p["op"] == "_jump"]
    assert any(int(p["parameters"][0]["value"], 16) == len(body) for p in returns)


def test_field_lists_start_at_one(tmp_path: Path) -> None:
    source = v1model(
        "apply { clone_preserving_field_list(CloneType.I2E, 5, 3); clone(CloneType.I2E, 6); }",
    ).replace("bit<8> x;", "@field_list(3, 4) bit<8> x;")
    loaded = document(source, tmp_path)
    lists = {item["id"]: [element["value"] for element in item["elements"]] for item in loaded["field_lists"]}
    assert lists[1] == [["scalars", "userMetadata.x"]] and 0 not in lists
    clones = [p for p in primitives(loaded) if p["op"] == "clone_ingress_pkt_to_egress"]
    assert clones[0]["parameters"][1]["value"] == "0x00000001"
    assert lists[int(clones[1]["parameters"][1]["value"], 16)] == []


def test_standard_metadata_has_its_aliases(tmp_path: Path) -> None:
    aliases = dict(document(v1model(), tmp_path)["field_aliases"])
    assert aliases["intrinsic_metadata.mcast_grp"] == ["standard_metadata", "mcast_grp"]
    assert aliases["queueing_metadata.deq_qdepth"] == ["standard_metadata", "deq_qdepth"]


def test_selector_input_comes_from_the_table(tmp_path: Path) -> None:
    source = v1model(
        """
        action_selector(HashAlgorithm.crc16, 32, 14) choose;
        action a() { m.x = 1; }
        table t { key = { m.y : exact; hdr.h.a : selector; hdr.h.c : selector; } actions = { a; } implementation = choose; }
        apply { t.apply(); }
        """
    )
    pipeline = document(source, tmp_path)["pipelines"][0]
    profile = named(pipeline["action_profiles"], "MyIngress.choose")
    assert profile["selector"] == {
        "algo": "crc16",
        "input": [{"type": "field", "value": ["h", "a"]}, {"type": "field", "value": ["h", "c"]}],
    }
    table = named(pipeline["tables"], "MyIngress.t")
    assert table["type"] == "indirect_ws" and "default_entry" not in table and len(table["key"]) == 1


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (v1model(declarations="header odd_t { bit<3> n; }", ingress="odd_t o; apply { o.setValid(); }"), "multiple of 8"),
        (v1model("table t { key = { m.x : lpm; m.y : lpm; } actions = { NoAction; } } apply { t.apply(); }"), "one lpm"),
        (v1model("register<bool>(4) r; apply { }"), "bit<> or int<>"),
        (v1model("direct_meter<bit<8>>(MeterType.bytes) d; action a() { d.read(m.x); }"
                 " table t { actions = { a; } } apply { t.apply(); }"), "'meters' property"),
        (v1model("apply { hash(m, HashAlgorithm.crc16, 8w0, { m.x }, 8w9); }"), "result of type"),
        (v1model(declarations='@p4runtime_translation("u", bool) type bit<8> t_t;',
                 ingress="t_t v; table t { key = { v : exact; } actions = { NoAction; } } apply { t.apply(); }"),
         "takes a URI"),
        (v1model().replace("{ p.emit(hdr); }", "{ if (hdr.h.isValid()) { p.emit(hdr.h); } }"), "deparser"),
        (v1model().replace("MyUpdate(inout headers_t hdr, inout meta_t m) { apply { }",
                           "MyUpdate(inout headers_t hdr, inout meta_t m) { apply { m.x = 1; }"), "only calls of"),
        (v1model("apply { clone(CloneType.E2E, 1); }"), "can only be called in egress"),
        (v1model("table t { key = { m.i : range; } actions = { NoAction; } const entries = { -2 .. 1: NoAction(); } }"
                 " apply { t.apply(); }"), "cannot cross zero"),
        (v1model("apply { mark_to_drop(); }"), "the standard metadata as its argument"),
        (v1model("apply { recirculate_preserving_field_list(0); }"), "can only be called in egress"),
        (v1model().replace("MyEgress(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) { apply { }",
                           "MyEgress(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm)"
                           " { apply { resubmit_preserving_field_list(0); }"), "can only be called in ingress"),
        (v1model(parser=VALUE_SETS.replace("vs: accept;", "(vs, _): accept;").replace("(hdr.h.a)", "(hdr.h.a, hdr.h.b)")),
         "the whole keyset"),
    ],
)  # fmt: skip
def test_what_bmv2_cannot_hold_is_refused(source: str, words: str, tmp_path: Path) -> None:
    errors = target_errors(source, tmp_path)
    assert errors and words in errors[0]
