"""The whole translation unit: `generate` turns a program into C."""

from __future__ import annotations

from p4switch.bmv2 import model
from p4switch.codegen.algorithms import HashWithState, hashes_with_state
from p4switch.codegen.calculations import Calculations
from p4switch.codegen.control import write_actions, write_pipeline
from p4switch.codegen.errors import UnsupportedError
from p4switch.codegen.expr import Expressions
from p4switch.codegen.headers import Piece, copy_field, emit_header, header_bytes, store_pieces
from p4switch.codegen.layout import Layout, Names, limbs, storage_bits
from p4switch.codegen.parser import ParserCode
from p4switch.codegen.primitives import Place, write_body
from p4switch.codegen.state import is_parallel
from p4switch.codegen.tables import TableCode
from p4switch.codegen.writer import Writer, c_string

# What the target knows by these names, whether or not the program has them (simple_switch's intrinsic metadata).
INTRINSICS = {
    "ingress_port": "standard_metadata.ingress_port",
    "packet_length": "standard_metadata.packet_length",
    "instance_type": "standard_metadata.instance_type",
    "egress_spec": "standard_metadata.egress_spec",
    "egress_port": "standard_metadata.egress_port",
    "parser_error": "standard_metadata.parser_error",
    "checksum_error": "standard_metadata.checksum_error",
    "ingress_global_timestamp": "intrinsic_metadata.ingress_global_timestamp",
    "egress_global_timestamp": "intrinsic_metadata.egress_global_timestamp",
    "mcast_grp": "intrinsic_metadata.mcast_grp",
    "egress_rid": "intrinsic_metadata.egress_rid",
    "priority": "intrinsic_metadata.priority",
    "enq_timestamp": "queueing_metadata.enq_timestamp",
    "enq_qdepth": "queueing_metadata.enq_qdepth",
    "deq_timedelta": "queueing_metadata.deq_timedelta",
    "deq_qdepth": "queueing_metadata.deq_qdepth",
    "qid": "queueing_metadata.qid",
}
REQUIRED = ("ingress_port", "packet_length", "instance_type", "egress_spec", "egress_port")


def generate(program: model.Program, *, traced: bool = False) -> str:
    """C for `program`, to be compiled with the runtime's headers in the include path.

    Args:
        traced: with records of what happens to each packet (trace.h).

    Raises:
        UnsupportedError: it uses something that is not implemented; the message names the object.
    """
    out = Writer()
    out.comment(None, f"Generated from {program.name or 'a BMv2 JSON'}; do not edit.")
    if traced:
        out.line("#define KV_TRACED 1")
    for header in ("<stdio.h>", '"bits.h"', '"hash.h"', '"lookup.h"', '"packet.h"', '"random.h"', '"trace.h"'):
        out.line(f"#include {header}")
    out.line()
    layout = Layout(program, traced=traced)
    layout.write(out)
    calculations = Calculations(layout)
    _intrinsics(layout, out)
    _calculations(layout, calculations, out)
    ParserCode(layout, calculations, out).write()
    functions = write_actions(layout, calculations, out)
    tables = TableCode(layout, calculations, functions, out)
    tables.write_specs()
    for pipeline in (program.ingress, program.egress):
        write_pipeline(layout, tables, functions, pipeline, out)
    _deparser(layout, calculations, out)
    _resets(layout, out)
    _field_lists(layout, out)
    _digests(layout, out)
    hinted = tables.write_hints()
    out.line('#include "v1model.h"')
    out.line()
    out.line(f"static const uint16_t kv_hinted[] = {{{', '.join(map(str, hinted or [0]))}}};")
    _program(layout, len(hinted), out)
    return out.text()


def _intrinsics(layout: Layout, out: Writer) -> None:
    program = layout.program
    for short, full in INTRINSICS.items():
        ref = program.intrinsic(full) or program.intrinsic(f"standard_metadata.{short}")
        if ref is None and short in REQUIRED:
            raise UnsupportedError("BMv2 JSON", f"the field {full!r} is needed, but not defined")
        path = ""
        if ref is not None:
            path = f"{layout.header(ref.header)}.{layout.field(program.headers[ref.header].type, ref.decl)}"
        with out.block(f"static inline void kv_set_{short}(struct phv *h, uint64_t value)"):
            if ref is None:
                out.line("(void)h, (void)value;")
            elif ref.decl.width > 64:
                raise UnsupportedError(f"field {full!r}", f"its {ref.decl.width} bits are too many")
            else:
                width = ref.decl.width
                mask = "" if width == storage_bits(width) else f" & {(1 << width) - 1:#x}ull"
                out.line(f"{path} = (uint{storage_bits(width)}_t)(value{mask});")
        if short in ("egress_spec", "mcast_grp", "priority"):
            with out.block(f"static inline uint64_t kv_get_{short}(const struct phv *h)"):
                if ref is None:
                    out.line("(void)h;")
                out.line(f"return {path or '0'};")
    out.line()


def _calculations(layout: Layout, calculations: Calculations, out: Writer) -> None:
    names = Names()
    for item in layout.program.calculations.values():
        where = f"calculation {item.name!r}"
        calculations.write(out, item.name, names.make("calculate_", item.name), where, item.algorithm, item.inputs)
    for profile in layout.program.profiles.values():
        if profile.selector is not None:
            where = f"selector of action profile {profile.name!r}"
            name = names.make("select_", profile.name)
            selector = profile.selector
            calculations.write(out, f"selector {profile.name}", name, where, selector.algorithm, selector.inputs)
    out.line()


def _deparser(layout: Layout, calculations: Calculations, out: Writer) -> None:
    """`kv_deparse`: checksums, the deparser's own statements, then the headers in front of the rest of the packet."""
    program = layout.program
    with out.block("static inline bool kv_deparse(struct kv_ctx *ctx, struct kv_packet *packet, struct phv *h)"):
        out.line("(void)ctx;")
        for checksum in program.checksums:
            if checksum.update:
                out.comment(checksum.source, f"checksum {checksum.name!r}")
                with out.block():
                    _update(layout, calculations, checksum, out)
        write_body(Place(layout, calculations, "deparser"), out, program.deparser_calls)
        code = Expressions(layout, out, "deparser")
        out.line("uint32_t size = 0;")
        for name in program.deparser:
            header = program.headers[name]
            size = header_bytes(code, header.type, layout.header(name))
            out.line(f"size += {layout.header(name)}.valid ? {size} : 0;")
        out.line("if (KV_UNLIKELY((size_t)(packet->data - packet->start) < size))")
        out.line("    return false;")
        out.line("packet->data -= size;")
        out.line("packet->length += size;")
        out.line("uint8_t *p = packet->data;")
        for name in program.deparser:
            with out.block(f"if ({layout.header(name)}.valid)"):
                emit_header(code, program.headers[name], "p")
        out.line("(void)p;")
        out.line("return true;")
    out.line()


def _update(layout: Layout, calculations: Calculations, checksum: model.Checksum, out: Writer) -> None:
    code = Expressions(layout, out, f"checksum {checksum.name!r}")
    ref = checksum.target
    path = f"{layout.header(ref.header)}.{layout.field(layout.program.headers[ref.header].type, ref.decl)}"
    if ref.decl.width > 64:
        raise UnsupportedError(f"checksum {checksum.name!r}", "its target is wider than 64 bits")
    width = ref.decl.width
    with out.block(f"if ({code.boolean(checksum.cond)})" if checksum.cond is not None else ""):
        mask = "" if width == storage_bits(width) else f" & {(1 << width) - 1:#x}ull"
        out.line(f"{path} = (uint{storage_bits(width)}_t)({calculations.call(checksum.calculation)}{mask});")


def _resets(layout: Layout, out: Writer) -> None:
    program = layout.program
    metadata = [header for header in program.headers.values() if header.metadata]
    with out.block("static inline void kv_reset_metadata(struct phv *h)"):
        out.line("(void)h;")
        for header in metadata:
            path = layout.header(header.name)
            out.line(f"memset(&{path}, 0, sizeof {path});")
            out.line(f"{path}.valid = 1;")
    with out.block("static inline void kv_reset_headers(struct phv *h)"):
        out.line("(void)h;")
        for header in program.headers.values():
            if not header.metadata:
                path = layout.header(header.name)
                out.line(f"memset(&{path}, 0, sizeof {path});")
        for stack in [*program.stacks, *program.union_stacks]:
            out.line(f"{layout.next_index(stack)} = 0;")
    out.line()


def _field_lists(layout: Layout, out: Writer) -> None:
    """`kv_copy_fields`: what a clone, a resubmitted or a recirculated packet keeps."""
    program = layout.program
    head = "static inline void kv_copy_fields(uint32_t list, struct phv *target, const struct phv *source)"
    with out.block(head):
        out.line("(void)target, (void)source;")
        with out.block("switch (list)"):
            for item in program.field_lists.values():
                out.line(f"case {item.id}:")
                with out.block():
                    for ref in item.fields:
                        path = layout.header(ref.header).removeprefix("h->")
                        header_type = program.headers[ref.header].type
                        code = Expressions(layout, out, f"field list {item.id}")
                        copy_field(code, header_type, ref.decl, f"target->{path}", f"source->{path}")
                    out.line("break;")
            out.line("default:")
            out.line("    break;")
    out.line()


def _digests(layout: Layout, out: Writer) -> None:
    """`kv_store_digest`: the sample of a digest, each field padded to bytes."""
    with out.block("static inline void kv_store_digest(struct kv_ctx *ctx, uint32_t digest, struct phv *h)"):
        out.line("(void)ctx, (void)h;")
        with out.block("switch (digest)"):
            for number, digest in enumerate(layout.program.digests.values()):
                pieces: list[Piece] = []
                for ref in digest.fields:
                    pad = -ref.decl.width % 8
                    if pad:
                        pieces.append((model.Const(0), pad))
                    plain = model.FieldRef(ref.header, model.FieldDecl(ref.decl.name, ref.decl.width))
                    pieces.append((plain, ref.decl.width))
                out.line(f"case {digest.id}:")
                with out.block():
                    code = Expressions(layout, out, f"digest {digest.name!r}")
                    out.line(f"uint8_t sample[{sum(width for _, width in pieces) // 8 + 8}];")
                    store_pieces(code, pieces, "sample")
                    out.line(f"ctx->digest(ctx, {number}, sample);")
                    out.line("break;")
            out.line("default:")
            out.line("    break;")
    out.line()


def register_stride(width: int) -> int:
    """Bytes of a register cell."""
    return storage_bits(width) // 8 if width <= 128 else limbs(width) * 8


def _program(layout: Layout, hints: int, out: Writer) -> None:
    program = layout.program

    def rows(ctype: str, name: str, values: list[str]) -> None:
        with out.block(f"static const struct {ctype} {name}[] ="):
            for value in values or ["{0},"]:
                out.line(value)
        out.line(";")

    rows(
        "kv_register_spec",
        "kv_registers",
        [
            f"{{{c_string(r.name)}, {r.size}, {r.width}, {register_stride(r.width)}}},"
            for r in program.registers.values()
        ],
    )
    rows("kv_counter_spec", "kv_counters", [f"{{{c_string(c.name)}, {c.size}}}," for c in program.counters.values()])
    for meter in program.meters.values():
        if not 1 <= meter.rates <= 2:
            raise UnsupportedError(f"meter {meter.name!r}", f"{meter.rates} rates are not supported, 1 and 2 are")
    meters = [
        f"{{{c_string(m.name)}, {0 if m.table else m.size}, {m.rates}, {int(m.per_byte)}}},"
        for m in program.meters.values()
    ]
    rows("kv_meter_spec", "kv_meters", meters)
    sets = [f"{{{c_string(s.name)}, {value_set_bytes(program, s.name)}}}," for s in program.value_sets.values()]
    rows("kv_value_set_spec", "kv_value_sets", sets)
    digests = [
        f"{{{c_string(d.name)}, {d.id}, {sum((ref.decl.width + 7) // 8 for ref in d.fields)}}},"
        for d in program.digests.values()
    ]
    rows("kv_digest_spec", "kv_digests", digests)
    rows("kv_hash_spec", "kv_hashes", [_hash_spec(item) for item in hashes_with_state(program)])
    out.line()
    with out.block("const struct kv_program kv_program ="):
        out.line(".abi = KV_ABI,")
        out.line(".phv_size = sizeof(struct phv),")
        counts = {
            "table": (len(program.tables()), "kv_tables"),
            "profile": (len(program.profiles), "kv_profiles"),
            "register": (len(program.registers), "kv_registers"),
            "counter": (len(program.counters), "kv_counters"),
            "meter": (len(program.meters), "kv_meters"),
            "value_set": (len(program.value_sets), "kv_value_sets"),
            "digest": (len(program.digests), "kv_digests"),
        }
        for kind, (count, array) in counts.items():
            out.line(f".{kind}_count = {count}, .{kind}s = {array},")
        out.line(f".hash_count = {len(hashes_with_state(program))}, .hashes = kv_hashes,")
        out.line(f".hint_count = {hints}, .hinted = kv_hinted, .hint = kv_hint,")
        out.line(f".parallel = {str(is_parallel(program)).lower()}, .shared = &kv_shared,")
        out.line(".process = kv_process, .egress = kv_process_egress,")
    out.line(";")


def _hash_spec(item: HashWithState) -> str:
    crc = item.crc
    if crc is None:
        return f"{{{c_string(item.key)}, {item.kind}, 0, 0, 0, 0, 0, 0}},"
    values = ", ".join(f"{value:#x}ull" for value in (crc.polynomial, crc.initial, crc.final_xor))
    return f"{{{c_string(item.key)}, {item.kind}, {crc.width}, {int(crc.reflected)}, {int(crc.reflected)}, {values}}},"


def value_set_bytes(program: model.Program, name: str) -> int:
    """Bytes of one member of a value set: the fields of the key that it is compared with, each padded to bytes."""
    for state in program.parser.states.values():
        if any(case.value_set == name for case in state.cases):
            return sum((key_width(item) + 7) // 8 for item in state.key)
    return (program.value_sets[name].width + 7) // 8


def key_width(item: model.Expr) -> int:
    """The width of a component of a transition key."""
    match item:
        case model.FieldRef(_, decl) | model.StackFieldRef(_, decl) | model.UnionStackFieldRef(_, _, decl):
            return decl.width
        case model.Lookahead(_, width):
            return width
    raise UnsupportedError("parser", "this kind of transition key is not supported")
