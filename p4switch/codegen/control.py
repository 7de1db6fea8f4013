"""Actions and pipelines: one C function an action, one function a pipeline with a label for each node."""

from __future__ import annotations

from p4switch.bmv2 import model
from p4switch.bmv2.tables import successors
from p4switch.codegen.calculations import Calculations
from p4switch.codegen.expr import Expressions
from p4switch.codegen.layout import Layout, Names
from p4switch.codegen.primitives import Place, write_body
from p4switch.codegen.tables import TableCode, arg_limbs
from p4switch.codegen.writer import Writer


def write_actions(layout: Layout, calculations: Calculations, out: Writer) -> dict[int, str]:
    """Writes every action; returns the C function of each, by id."""
    names = Names()
    functions: dict[int, str] = {}
    for action in layout.program.actions.values():
        functions[action.id] = name = names.make("action_", action.name)
        out.comment(action.source, f"action {action.name}")
        head = (
            f"static inline void {name}(struct kv_ctx *ctx, struct kv_packet *packet, struct phv *h, const uint64_t *a)"
        )
        with out.block(head):
            out.line("(void)ctx, (void)packet, (void)h, (void)a;")
            for index, (param, word) in enumerate(zip(action.params, arg_limbs(action)[0], strict=True)):
                out.comment(None, f"a[{word}]: {param.name}, {param.width} bits" if index < 16 else "")
            place = Place(layout, calculations, f"action {action.name!r}", arg_limbs(action)[0])
            write_body(place, out, action.body)
        out.line()
    return functions


def write_pipeline(
    layout: Layout, tables: TableCode, actions: dict[int, str], pipeline: model.Pipeline, out: Writer
) -> None:
    """`kv_ingress` or `kv_egress`: the nodes that can be reached, each under a label, in the order they are met."""
    order = _reachable(pipeline)
    names = Names()
    labels = {name: names.make("node_", name) for name in order}
    goto: dict[str | None, str] = {name: f"goto {label};" for name, label in labels.items()}
    goto[None] = "return;"
    head = f"static inline void kv_{pipeline.name}(struct kv_ctx *ctx, struct kv_packet *packet, struct phv *h)"
    with out.block(head):
        out.line("(void)ctx, (void)packet, (void)h;")
        if pipeline.init is not None:
            out.line(goto[pipeline.init])
        for name in order:
            out.label(labels[name])
            node = pipeline.nodes[name]
            match node:
                case model.Table():
                    tables.apply(node, goto)
                case model.Conditional():
                    out.comment(node.source, f"if {node.name}")
                    with out.block():
                        code = Expressions(layout, out, f"conditional {node.name!r}")
                        cond = code.boolean(node.cond)
                        if layout.traced:
                            cond = out.temp("bool", cond)
                            layout.trace(out, "CONDITION", conditionals(layout.program).index(node), cond)
                        out.line(f"if ({cond}) {goto[node.true_next]}")
                        out.line(goto[node.false_next])
                case model.ActionCall():
                    layout.trace(out, "ACTION", list(actions).index(node.action_id), "0")
                    out.line(f"{actions[node.action_id]}(ctx, packet, h, NULL);")
                    out.line("if (packet->exited) return;")
                    out.line(goto[node.next])
    out.line()


def conditionals(program: model.Program) -> list[model.Conditional]:
    """All of them, in the numbering of traces."""
    nodes = [*program.ingress.nodes.values(), *program.egress.nodes.values()]
    return [node for node in nodes if isinstance(node, model.Conditional)]


def _reachable(pipeline: model.Pipeline) -> list[str]:
    """Nodes in depth-first order from the first; a table that cannot be reached is still known to the runtime."""
    order: list[str] = []
    seen: set[str] = set()
    stack = [pipeline.init]
    while stack:
        name = stack.pop()
        if name is None or name in seen:
            continue
        seen.add(name)
        order.append(name)
        stack.extend(reversed(successors(pipeline.nodes[name])))
    return order
