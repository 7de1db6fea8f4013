"""What the compiler tells its user: errors and warnings with their place, kept until somebody prints them.

User errors are never exceptions: whoever finds one reports it here and goes on with something harmless, so that one
run shows several. The kinds carry p4c's names, which P4 authors know from its `--Wwarn=KIND` and `--Werror=KIND` options.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import TextIO

from p4compiler.excerpts import excerpt, include_chain
from p4compiler.source import Span

DEFAULT_ERROR_LIMIT = 20


class Severity(Enum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Kind(Enum):
    """What sort of thing is wrong. The value is what is printed in brackets and named in options."""

    SYNTAX_ERROR = "syntax-error"
    PREPROCESSOR = "preprocessor"
    TYPE_ERROR = "type-error"
    NOT_FOUND = "not-found"
    DUPLICATE = "duplicate"
    INVALID = "invalid"
    UNSUPPORTED = "unsupported"
    UNSUPPORTED_ON_TARGET = "target-error"
    EXPECTED = "expected"
    UNEXPECTED = "unexpected"
    OVERLIMIT = "overlimit"
    OVERFLOW = "overflow"
    EXPRESSION = "expr"
    UNINITIALIZED = "uninitialized"
    UNINITIALIZED_USE = "uninitialized-use"
    UNINITIALIZED_OUT_PARAM = "uninitialized-out-param"
    UNUSED = "unused"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"
    SHADOW = "shadow"
    MISMATCH = "mismatch"
    MISSING = "missing"
    DEPRECATED = "deprecated"
    ORDERING = "ordering"
    PARSER_TRANSITION = "parser-transition"
    KEYS = "keys"
    BRANCH = "branch"
    MULTIPLE_EXTRACTIONS = "multi-header-extract"
    INVALID_HEADER = "invalid-header"
    DUPLICATE_PRIORITIES = "duplicate-priorities"
    ENTRIES_OUT_OF_ORDER = "entries-out-of-priority-order"
    INSUFFICIENT = "insufficient"
    IGNORE = "ignore"
    IGNORE_PROPERTY = "ignore-prop"
    IO = "io"


ERRORS_ONLY = frozenset(
    {
        Kind.SYNTAX_ERROR,
        Kind.PREPROCESSOR,
        Kind.TYPE_ERROR,
        Kind.NOT_FOUND,
        Kind.UNSUPPORTED_ON_TARGET,
        Kind.EXPECTED,
        Kind.UNEXPECTED,
        Kind.OVERLIMIT,
        Kind.INSUFFICIENT,
        Kind.IO,
    }
)
"""Kinds that no warning has: what is wrong cannot be made less than an error."""
OTHERS_OF_P4C = frozenset({"legacy", "failed", "type-inference", "inferred", "progress", "removed", "reserved"})
"""Names that p4c knows for what is never said here; options and annotations may have them."""
_KINDS = {kind.value: kind for kind in Kind}


def kind_named(name: str) -> Kind | None:
    """The kind with this name, in which `_` may stand for `-`."""
    return _KINDS.get(name.replace("_", "-"))


def is_kind_of_p4c(name: str) -> bool:
    """p4c has this kind, though there is none of it here."""
    return name.replace("_", "-") in OTHERS_OF_P4C


@dataclass(frozen=True, slots=True)
class Note:
    """A related place of a diagnostic, or a hint without one."""

    message: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One message. `span` is None only where no file is concerned (a missing input file, say)."""

    severity: Severity
    kind: Kind
    message: str
    span: Span | None
    notes: tuple[Note, ...] = ()

    def header(self) -> str:
        """`file:line:col: error[kind]: message`, without source text."""
        place = f"{self.span}: " if self.span is not None else ""
        return f"{place}{self.severity.value}[{self.kind.value}]: {self.message}"

    def render(self) -> str:
        """The whole message: header, source lines, carets, the macro's definition, where the file is included, notes."""
        lines = [self.header()]
        if self.span is not None:
            lines += excerpt(self.span)
            if self.span.expansion is not None:
                lines.append(f"{self.span.expansion}: note: expanded from this macro")
                lines += excerpt(self.span.expansion)
            lines += include_chain(self.span.file)
        for note in self.notes:
            if note.span is None:
                lines.append(f"  = {note.message}")
            else:
                lines.append(f"{note.span}: note: {note.message}")
                lines += excerpt(note.span)
        return "\n".join(lines)


@dataclass(slots=True)
class Diagnostics:
    """Collects the diagnostics of one run.

    Attributes:
        limit: after this many errors `full` becomes true, further ones are only counted, and the phases stop early.
        severities: what warnings of a kind become (None: nothing is said).
        default_severity: what those of the other kinds become.
        dropped: errors of these kinds are none here.
    """

    limit: int = DEFAULT_ERROR_LIMIT
    severities: dict[Kind, Severity | None] = field(default_factory=dict)
    default_severity: Severity | None = Severity.WARNING
    dropped: frozenset[Kind] = frozenset()
    entries: list[Diagnostic] = field(default_factory=list)
    error_count: int = 0
    warning_count: int = 0
    _promoted_count: int = 0
    _seen: set[tuple[object, ...]] = field(default_factory=set)
    _quiet: dict[Kind, list[Span]] = field(default_factory=dict)

    def silence(self, kind: Kind, span: Span) -> None:
        """Drop warnings of that kind about places inside of the span (`@noWarn`)."""
        self._quiet.setdefault(kind, []).append(span)

    def treat(self, kind: Kind, severity: Severity | None) -> None:
        """From now on warnings of that kind are this (`@diagnostic`), whatever the options say."""
        self.severities = {**self.severities, kind: severity}

    def _is_quiet(self, kind: Kind, span: Span) -> bool:
        return any(
            quiet.file is span.file and quiet.start <= span.start < quiet.end for quiet in self._quiet.get(kind, ())
        )

    def error(self, kind: Kind, message: str, span: Span | None, notes: Iterable[Note] = ()) -> None:
        if kind not in self.dropped:
            self._add(Severity.ERROR, kind, message, span, notes)

    def warning(self, kind: Kind, message: str, span: Span | None, notes: Iterable[Note] = ()) -> None:
        """A warning, or what the options make of its kind; nothing where `@noWarn` says so or about a system file."""
        severity = self.severity_of(kind)
        if severity is None or (span is not None and (span.file.system or self._is_quiet(kind, span))):
            return
        before = self.error_count
        self._add(severity, kind, message, span, notes)
        self._promoted_count += self.error_count - before

    def severity_of(self, kind: Kind) -> Severity | None:
        """What becomes of a warning of this kind; None: nothing."""
        return self.severities.get(kind, self.default_severity)

    def _add(self, severity: Severity, kind: Kind, message: str, span: Span | None, notes: Iterable[Note]) -> None:
        # A generic declaration is looked at once for each use: the same words at the same place are said once.
        key = (severity, kind, message, id(span.file) if span else 0, span.start if span else 0)
        if key in self._seen:
            return
        self._seen.add(key)
        if severity is Severity.ERROR:
            self.error_count += 1
            if self.error_count > self.limit:
                return
        elif severity is Severity.WARNING:
            self.warning_count += 1
            if self.warning_count > self.limit * 10:
                return
        self.entries.append(Diagnostic(severity, kind, message, span, tuple(notes)))

    @property
    def has_errors(self) -> bool:
        return self.error_count > 0

    @property
    def has_mistakes(self) -> bool:
        """There are errors that are more than warnings which the options made errors: the program means nothing."""
        return self.error_count > self._promoted_count

    @property
    def full(self) -> bool:
        """So many errors that going on would not help anybody."""
        return self.error_count >= self.limit

    @property
    def errors(self) -> list[Diagnostic]:
        return [entry for entry in self.entries if entry.severity is Severity.ERROR]

    @property
    def warnings(self) -> list[Diagnostic]:
        return [entry for entry in self.entries if entry.severity is Severity.WARNING]

    def summary(self) -> str:
        """`2 errors and 1 warning`; empty if there is nothing to tell."""
        parts = []
        if self.error_count:
            parts.append(f"{self.error_count} error{'s' if self.error_count > 1 else ''}")
        if self.warning_count:
            parts.append(f"{self.warning_count} warning{'s' if self.warning_count > 1 else ''}")
        return " and ".join(parts)

    def render(self) -> str:
        """All messages in the order found, then a line on those left out."""
        text = [entry.render() for entry in self.entries]
        if self.error_count > self.limit:
            text.append(f"too many errors: {self.error_count - self.limit} more are not shown")
        return "\n".join(text)

    def print(self, stream: TextIO) -> None:
        if self.entries:
            stream.write(self.render() + "\n")


def closest(name: str, known: Iterable[str], farthest: int | None = None) -> str | None:
    """The one of the `known` names that is most like this one, if one is so close that somebody may have meant it.

    Args:
        farthest: how many letters may be wrong at most; else a third of them, at least one.
    """
    best, least = None, 1 + (max(1, len(name) // 3) if farthest is None else farthest)
    for other in known:
        if other == name or abs(len(other) - len(name)) >= least:
            continue
        distance = 0 if other.lower() == name.lower() else _distance(name, other, least)
        if distance < least and not (distance >= len(name) and distance >= len(other)):
            best, least = other, distance
    return best


def _distance(one: str, other: str, limit: int) -> int:
    """How many letters to change, add, leave out or swap with the next; `limit` where it is that much or more."""
    before: list[int] = []
    previous = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, other_letter in enumerate(other, 1):
            cost = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (letter != other_letter))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == other_letter:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) >= limit:
            return limit
        before, previous = previous, row
    return previous[-1]


def did_you_mean(name: str, known: Iterable[str]) -> tuple[Note, ...]:
    """A hint with the closest of the `known` names, if one is close."""
    hint = closest(name, known)
    return (Note(f"did you mean '{hint}'?"),) if hint is not None else ()
