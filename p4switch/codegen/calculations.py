"""Hashes and checksums over fields: each calculation of the program becomes one C function.

As in BMv2 the inputs are concatenated bit by bit, fields of invalid headers left out. Where the layout is known when the code
is made (all but headers that may be absent at odd bit offsets), whole words are gathered from the fields; the Internet checksum
needs no buffer then: it sums words in any order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from p4switch.bmv2 import model
from p4switch.codegen.algorithms import PLAIN, hashes_with_state, is_known
from p4switch.codegen.errors import UnsupportedError
from p4switch.codegen.expr import Expressions
from p4switch.codegen.headers import Piece, gather, put_bits, store_pieces
from p4switch.codegen.layout import Layout
from p4switch.codegen.writer import Writer


@dataclass(slots=True)
class Run:
    """Successive inputs of one header; `header` is None for constants and metadata, which are always there."""

    header: str | None
    pieces: list[Piece] = field(default_factory=list)
    varlen: list[tuple[int, model.FieldDecl]] = field(default_factory=list)  # place among the pieces, field

    @property
    def bits(self) -> int:
        return sum(width for _, width in self.pieces)


class Calculations:
    """Writes the functions; `call` is how other code uses them."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._names: dict[str, str] = {}
        self._states = {item.key: number for number, item in enumerate(hashes_with_state(layout.program))}

    def call(self, name: str) -> str:
        return f"{self._names[name]}(ctx, packet, h)"

    def write(
        self,
        out: Writer,
        key: str,
        c_name: str,
        where: str,
        algorithm: str,
        inputs: tuple[model.FieldRef | model.Const | model.HeaderRef | model.Payload, ...],
    ) -> None:
        """The function for one calculation or selector; `key` is its name for `call`."""
        if not is_known(algorithm):
            raise UnsupportedError(where, f"hash algorithm {algorithm!r} is not supported")
        self._names[key] = c_name
        code = Expressions(self.layout, out, where)
        payload = any(isinstance(item, model.Payload) for item in inputs)
        runs = self._runs(where, inputs)
        out.comment(None, f"{where}: {algorithm}")
        head = f"static inline uint64_t {c_name}(struct kv_ctx *ctx, const struct kv_packet *packet, struct phv *h)"
        with out.block(head):
            out.line("(void)ctx, (void)packet, (void)h;")
            varlen = any(run.varlen for run in runs)
            last_conditional = len(runs) - 1
            whole_words = all(
                run.bits % 16 == 0 or (i == last_conditional and not payload) for i, run in enumerate(runs)
            )
            if PLAIN.get(algorithm) == "csum16" and not varlen and whole_words:
                self._sum(code, runs, payload)
                return
            whole_bytes = all(run.bits % 8 == 0 for run in runs[:-1]) and not any(
                sum(width for _, width in run.pieces[:place]) % 8 for run in runs for place, _ in run.varlen
            )
            self._buffer(code, runs, payload, whole_bytes)
            if key in self._states:
                out.line(f"return kv_hash_with_state(&ctx->pipeline->hashes[{self._states[key]}], buffer, n);")
            else:
                out.line(f"return kv_hash_{PLAIN[algorithm]}(buffer, n);")

    def _runs(
        self, where: str, inputs: tuple[model.FieldRef | model.Const | model.HeaderRef | model.Payload, ...]
    ) -> list[Run]:
        runs: list[Run] = []

        def run_of(header: str | None) -> Run:
            if not runs or runs[-1].header != header:
                runs.append(Run(header))
            return runs[-1]

        for item in inputs:
            match item:
                case model.Const(_, width):
                    assert width is not None
                    run_of(runs[-1].header if runs and runs[-1].header is None else None).pieces.append((item, width))
                case model.FieldRef(name, decl):
                    header = self.layout.program.headers[name]
                    run = run_of(None if header.metadata or decl.name == "$valid$" else name)
                    if decl.varlen:
                        run_of(name).varlen.append((len(run.pieces), decl))
                    else:
                        run.pieces.append((model.FieldRef(name, model.FieldDecl(decl.name, decl.width)), decl.width))
                case model.HeaderRef(name):
                    header = self.layout.program.headers[name]
                    run = run_of(None if header.metadata else name)
                    for decl in header.type.fields:
                        if decl.varlen:
                            run.varlen.append((len(run.pieces), decl))
                        else:
                            run.pieces.append(
                                (model.FieldRef(name, model.FieldDecl(decl.name, decl.width)), decl.width)
                            )
        return runs

    def _guard(self, run: Run) -> str:
        return f"if ({self.layout.header(run.header)}.valid)" if run.header is not None else ""

    def _sum(self, code: Expressions, runs: list[Run], payload: bool) -> None:
        out = code.out
        out.line("uint64_t sum = 0;")
        for run in runs:
            with out.block(self._guard(run)):
                total = (run.bits + 15) // 16 * 16
                for start in range(0, total, 32):
                    count = min(32, total - start)
                    out.line(f"sum += {gather(code, run.pieces, start, count)};")
        if payload:
            out.line("sum = kv_sum_bytes(sum, packet->data, packet->length);")
        out.line("return ~kv_sum_fold(sum) & 0xffff;")

    def _buffer(self, code: Expressions, runs: list[Run], payload: bool, whole_bytes: bool) -> None:
        out = code.out
        room = sum((run.bits + 7) // 8 + sum(decl.width // 8 for _, decl in run.varlen) for run in runs) + 16
        if payload:
            out.line(f"uint8_t *buffer = ctx->alloc(ctx, {room} + (size_t)packet->length);")
            out.line("if (!buffer)")
            out.line("    return 0;")
        else:
            out.line(f"uint8_t buffer[{room}];")
        if whole_bytes:
            out.line("size_t n = 0;")
            for run in runs:
                with out.block(self._guard(run)):
                    self._store_run(code, run)
        else:
            out.line("uint32_t position = 0;")
            for run in runs:
                with out.block(self._guard(run)):
                    self._put_run(code, run)
            out.line("size_t n = (position + 7) / 8;")
        if payload:
            out.line("memcpy(buffer + n, packet->data, packet->length);")
            out.line("n += packet->length;")

    def _put_run(self, code: Expressions, run: Run) -> None:
        """One run at bit `position` of `buffer`, variable-length fields in their places."""
        done = 0
        for place, decl in [*run.varlen, (len(run.pieces), None)]:
            for value, width in run.pieces[done:place]:
                put_bits(code, value, width, "buffer")
            done = place
            if decl is not None:
                path = self._varlen_path(run, decl)
                code.out.line(f"kv_put_bytes(buffer, &position, {path}, {path}_bits / 8);")

    def _varlen_path(self, run: Run, decl: model.FieldDecl) -> str:
        assert run.header is not None
        header_type = self.layout.program.headers[run.header].type
        return f"{self.layout.header(run.header)}.{self.layout.field(header_type, decl)}"

    def _store_run(self, code: Expressions, run: Run) -> None:
        """One run at `buffer + n`, variable-length fields in their places."""
        out = code.out
        done = 0
        for place, decl in [*run.varlen, (len(run.pieces), None)]:
            pieces = run.pieces[done:place]
            if pieces:
                pointer = out.fresh()
                out.line(f"uint8_t *const {pointer} = buffer + n;")
                size = store_pieces(code, pieces, pointer)
                out.line(f"n += {size};")
            done = place
            if decl is not None:
                path = self._varlen_path(run, decl)
                out.line(f"memcpy(buffer + n, {path}, {path}_bits / 8);")
                out.line(f"n += {path}_bits / 8;")
