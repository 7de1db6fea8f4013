"""What the lab found, and how it is shown: expectations, held or not, and who may talk to whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, slots=True)
class Expectation:
    """One thing that was to happen.

    Attributes:
        section: the heading it is shown under.
        what: what was tried, as a person would say it.
        expected: what was to happen.
        found: what happened.
        held: whether that is the same.
    """

    section: str
    what: str
    expected: str
    found: str
    held: bool


class Reach(Enum):
    """Whether a connection came about."""

    CONNECTED = "connected"
    REFUSED = "refused"
    SILENT = "timed out"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Contact:
    """Who tried to reach whom.

    Attributes:
        source: the pod, by application.
        destination: the Service or pod.
        allowed: whether policy lets it.
        reach: what came of it, for each IP version tried.
    """

    source: str
    destination: str
    allowed: bool
    reach: tuple[Reach, ...]

    @property
    def held(self) -> bool:
        """Whether all of it came out as policy says. A failure of another kind is not the policy's doing."""
        wanted = {Reach.CONNECTED} if self.allowed else {Reach.REFUSED, Reach.SILENT}
        return bool(self.reach) and set(self.reach) <= wanted


@dataclass
class Report:
    """Everything found in a run of the lab."""

    expectations: list[Expectation] = field(default_factory=list)
    contacts: list[Contact] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def expect(self, section: str, what: str, *, expected: str, found: str, held: bool) -> None:
        """Add an expectation."""
        self.expectations.append(Expectation(section, what, expected, found, held))

    @property
    def failures(self) -> int:
        """How many expectations and contacts did not come out as they should."""
        return sum(not item.held for item in self.expectations) + sum(not item.held for item in self.contacts)

    @property
    def passed(self) -> bool:
        """Whether something was tried and everything held."""
        return bool(self.expectations) and bool(self.contacts) and self.failures == 0

    def print(self, console: Console) -> None:
        """Show it all."""
        for section in dict.fromkeys(item.section for item in self.expectations):
            console.print(_section_table(section, [item for item in self.expectations if item.section == section]))
        if self.contacts:
            console.print(_contact_table(self.contacts))
        for note in self.notes:
            console.print(Text(f"note: {note}", style="dim"))
        console.print(self._verdict())

    def _verdict(self) -> RenderableType:
        total = len(self.expectations) + len(self.contacts)
        if self.passed:
            return Panel(Text(f"All {total} expectations held.", style="bold green"), border_style="green")
        broken: list[RenderableType] = [
            Text(f"{item.section}: {item.what}: expected {item.expected}, found {item.found}")
            for item in self.expectations
            if not item.held
        ]
        broken += [
            Text(f"{item.source} -> {item.destination}: expected {_wanted(item)}, found {_found(item)}")
            for item in self.contacts
            if not item.held
        ]
        heading = Text(f"{self.failures} of {total} expectations did not hold.", style="bold red")
        return Panel(Group(heading, *broken), border_style="red")


def _section_table(section: str, items: Sequence[Expectation]) -> Table:
    table = Table(title=section, title_justify="left", title_style="bold", expand=False)
    table.add_column("")
    table.add_column("tried", overflow="fold")
    table.add_column("expected", style="dim", overflow="fold")
    table.add_column("found", overflow="fold")
    for item in items:
        table.add_row(_mark(item.held), item.what, item.expected, Text(item.found, style="" if item.held else "red"))
    return table


def _contact_table(contacts: Sequence[Contact]) -> Table:
    """Sources down, destinations across."""
    destinations = list(dict.fromkeys(contact.destination for contact in contacts))
    table = Table(
        title="Who may talk to whom (TCP, by Service, IPv4 and IPv6)", title_justify="left", title_style="bold"
    )
    table.add_column("from \\ to")
    for destination in destinations:
        table.add_column(destination, justify="center")
    for source in dict.fromkeys(contact.source for contact in contacts):
        row: list[RenderableType] = [source]
        for destination in destinations:
            found = [item for item in contacts if (item.source, item.destination) == (source, destination)]
            row.append(_cell(found[0]) if found else Text("-", style="dim"))
        table.add_row(*row)
    return table


def _cell(contact: Contact) -> Text:
    text = "yes" if contact.allowed and contact.held else f"no, {_found(contact)}" if contact.held else _found(contact)
    if not contact.held:
        return Text(f"{text}: WRONG", style="bold red")
    return Text(text, style="green" if contact.allowed else "yellow")


def _wanted(contact: Contact) -> str:
    return "a connection" if contact.allowed else "none"


def _found(contact: Contact) -> str:
    return ", ".join(dict.fromkeys(reach.value for reach in contact.reach)) or "nothing"


def _mark(held: bool) -> Text:
    return Text("ok", style="green") if held else Text("FAIL", style="bold red")
