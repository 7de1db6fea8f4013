"""How `kulvert trace` tells what it found."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape

from kulvert.inspection.present import make_console, print_json, print_table
from kulvert.inspection.trace import Trace, TracedStep

_COLOURS = {"forwarded": "green", "refused": "yellow", "dropped": "red"}


def print_traces(traces: Sequence[Trace], output: str) -> int:
    """Print them; 0 if all of them are forwarded."""
    status = 0 if all(trace.verdict == "forwarded" for trace in traces) else 1
    if output == "json":
        print_json(traces)
        return status
    console = make_console()
    for trace in traces:
        title = f"{trace.source} -> {trace.destination}, {trace.protocol}, in on port {trace.ingress_port}"
        rows = [
            (step.stage, step.table, _show_entry(step), _show_action(step), step.entry.object if step.entry else "")
            for step in trace.steps
        ]
        print_table(console, title, ("stage", "table", "entry", "does", "object"), rows)
        console.print(f"[bold {_COLOURS[trace.verdict]}]{escape(_verdict(trace))}[/]", soft_wrap=True)
    return status


def _show_entry(step: TracedStep) -> str:
    key = " ".join(f"{name}={value}" for name, value in step.key.items())
    if step.entry is None:
        return f"none for {key}"
    return step.entry.text.removeprefix(f"{step.table} ")


def _show_action(step: TracedStep) -> str:
    params = " ".join(f"{name}={value}" for name, value in step.params.items())
    text = f"{step.action} {params}".strip() or "nothing"
    return f"{text} ({step.note})" if step.note else text


def _verdict(trace: Trace) -> str:
    deciding = [step for step in trace.steps if step.decides]
    by = trace.decided_by
    if deciding:
        step = deciding[-1]
        owner = step.entry.object if step.entry is not None and step.entry.object else ""
        by = f"{step.table}: " + (f"{step.action}, {owner}" if step.entry is not None and owner else step.action)
        if step.entry is None:
            by += " because no entry matches"
            table = "destination_pod_table" if step.table.startswith("ingress") else "source_pod_table"
            policies = [
                name for item in trace.steps if item.table == table and item.entry for name in item.entry.policies
            ]
            if step.table.endswith("_policy_table") and policies:
                by += f"; the pod is isolated by {', '.join(policies)}"
    if trace.verdict == "forwarded":
        return f"forwarded to port {trace.egress_port}"
    tail = f" ({trace.explanation})" if trace.explanation else ""
    told = "refused, and the sender is told" if trace.verdict == "refused" else "dropped"
    return f"{told}: {trace.reason}, by {by}{tail}" if trace.reason else f"{told} by {by}"
