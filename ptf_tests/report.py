"""The results of a run: read from the tests' lines, shown as a table, written as JUnit XML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console
from rich.table import Table

_STYLE = {"passed": "green", "failed": "red", "error": "red", "skipped": "yellow"}

_WIDTH_WITH_STORIES = 120


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one test. `status` is passed, failed, error or skipped."""

    stage: str
    test: str
    about: str
    status: str
    seconds: float
    detail: str

    @property
    def is_bad(self) -> bool:
        """Whether the run fails because of it."""
        return self.status in ("failed", "error")


def read_results(path: Path) -> list[Result]:
    """The results that the tests have left, in their order."""
    if not path.exists():
        return []
    return [Result(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def print_results(results: Sequence[Result], title: str, console: Console) -> None:
    """A line a test, and the whole story of those that failed."""
    has_room = console.width >= _WIDTH_WITH_STORIES
    table = Table(title=title, title_justify="left")
    table.add_column("stage")
    table.add_column("test")
    if has_room:
        table.add_column("what it shows", overflow="fold")
    table.add_column("result")
    table.add_column("s", justify="right")
    stage = ""
    for result in sorted(results, key=lambda item: item.stage):
        if stage and result.stage != stage:
            table.add_section()
        shown = result.stage if result.stage != stage else ""
        stage = result.stage
        status = f"[{_STYLE[result.status]}]{result.status}[/]"
        story = [result.about] if has_room else []
        table.add_row(shown, result.test, *story, status, f"{result.seconds:.1f}")
    console.print(table)
    for result in results:
        if result.status != "passed":
            console.rule(f"{result.stage}.{result.test}: {result.status}", align="left")
            console.print(result.detail, markup=False, highlight=False)


def write_junit(results: Sequence[Result], suite: str, path: Path) -> None:
    """The results as JUnit XML."""
    root = ElementTree.Element(
        "testsuite",
        name=suite,
        tests=str(len(results)),
        failures=str(sum(result.status == "failed" for result in results)),
        errors=str(sum(result.status == "error" for result in results)),
        skipped=str(sum(result.status == "skipped" for result in results)),
        time=f"{sum(result.seconds for result in results):.3f}",
    )
    for result in results:
        case = ElementTree.SubElement(
            root, "testcase", classname=f"{suite}.{result.stage}", name=result.test, time=f"{result.seconds:.3f}"
        )
        if result.status != "passed":
            kind = {"failed": "failure", "error": "error", "skipped": "skipped"}[result.status]
            outcome = ElementTree.SubElement(case, kind, message=result.about)
            outcome.text = "".join(sign for sign in result.detail if sign.isprintable() or sign in "\n\t")
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
