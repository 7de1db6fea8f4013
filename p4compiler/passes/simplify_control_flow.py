"""Take out what control never reaches and the regions that nothing leaves."""

from __future__ import annotations

from p4compiler.ir import statements as st
from p4compiler.ir.program import Program
from p4compiler.ir.walk import blocks_of, statements_of
from p4compiler.passes.rewriter import Rewrite, rewrite_program, with_blocks


def simplify_control_flow(program: Program) -> Program:
    """Drop dead statements, empty ifs and needless regions.

    Before:
        return: {
            if (x) { y = 1; leave return; z = 2; }
            leave return;
        }
        if (a) { }
    After:
        if (x) { y = 1; }
    """
    return rewrite_program(program, _Simplify())


class _Simplify(Rewrite):
    def block(self, block: st.Block) -> st.Block:
        result: list[st.Statement] = []
        for statement in block:
            result += self._statement(statement)
            if result and isinstance(result[-1], st.Leave | st.Exit):
                break
        return tuple(result)

    def _statement(self, statement: st.Statement) -> list[st.Statement]:
        if not blocks_of(statement):
            return [statement]
        simplified = with_blocks(statement, self.block)
        match simplified:
            case st.If(then=(), otherwise=()):
                return []
            case st.Region(span=span, label=label, body=body):
                body = without_last_leave(body, label)
                if not _is_left(body, label):
                    return list(body)
                return [st.Region(span, label, body)]
        return [simplified]


def without_last_leave(block: st.Block, label: st.Label) -> st.Block:
    """Without a `leave` where the region ends anyway: at its end, or at the end of an if that stands there."""
    if not block:
        return block
    last = block[-1]
    match last:
        case st.Leave(label=target) if target is label:
            return block[:-1]
        case st.If(span=span, condition=condition, then=then, otherwise=otherwise):
            then, otherwise = without_last_leave(then, label), without_last_leave(otherwise, label)
            if not then and not otherwise:
                return block[:-1]
            return (*block[:-1], st.If(span, condition, then, otherwise))
        case st.ApplyHit() | st.ApplySwitch():
            return (*block[:-1], with_blocks(last, lambda inner: without_last_leave(inner, label)))
    return block


def _is_left(block: st.Block, label: st.Label) -> bool:
    return any(isinstance(s, st.Leave) and s.label is label for s in statements_of(block))
