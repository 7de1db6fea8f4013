"""The C preprocessor for P4: includes, macros and conditionals, with every token's true place kept.

A file is cut at its directive lines. The text between two directives is split into tokens by one regular expression, and
only if a macro's name is among them does the slow path (`macros`) look at them one by one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from p4compiler.diagnostics import Diagnostics, Kind, Note, closest
from p4compiler.source import SourceFile, Span
from p4compiler.syntax.conditions import ConditionError, evaluate
from p4compiler.syntax.macros import (
    BUILTIN,
    MAX_TOKENS,
    ExpansionTooLargeError,
    Macro,
    MacroTable,
    MacroToken,
    to_macro_tokens,
)
from p4compiler.syntax.tokens import Tokens, count, split

BUILTIN_INCLUDE_DIR = Path(__file__).resolve().parent.parent / "p4include"
MAX_INCLUDE_DEPTH = 64
MAX_INCLUDES = 4096
MAX_FILE_BYTES = 16 << 20
MAX_SIMILAR = 1000
"""So many files of a folder are looked at for a name like one that is not found."""

_TO_HASH = re.compile(
    r'(?:[^"/#]++|"(?:[^"\\]++|\\[\s\S])*"|//[^\n]*+(?:(?<=\\)\n[^\n]*+)*|/\*(?:[^*]++|\*(?!/))*\*/|/(?!\*))*'
)
"""Everything up to the next `#` that is not in a string or comment (or up to an unfinished string or comment)."""

_LOGICAL_LINE = re.compile(
    r'(?:[^"/\n\\]++|\\\r?\n|\\|"(?:[^"\\\n]++|\\.|\\\r?\n)*"|"|//[^\n]*+(?:(?<=\\)\n[^\n]*+)*'
    r"|/\*(?:[^*]++|\*(?!/))*\*/|/)*"
)
"""A directive's line with its continuations; a block comment may end on a later line."""

_DIRECTIVE = re.compile(r"[ \t]*([A-Za-z_]\w*|[0-9]+)?")

_SKIP = re.compile(
    r'"(?:[^"\\\n]++|\\.)*"|//[^\n]*+|/\*(?:[^*]++|\*(?!/))*\*/|^[ \t]*+\#[ \t]*+(if|ifdef|ifndef|elif|else|endif)\b',
    re.MULTILINE,
)


@dataclass(slots=True)
class _Condition:
    """An open `#if`: whether a branch was taken yet, and whether its `#else` was seen."""

    span: Span
    taken: bool
    had_else: bool = False


class Preprocessor:
    """One run over a program and all that it includes."""

    def __init__(self, include_dirs: Sequence[str], diagnostics: Diagnostics) -> None:
        self.include_dirs = list(include_dirs)
        self.diagnostics = diagnostics
        self.table = MacroTable(diagnostics)
        self.tokens = Tokens()
        self.dependencies: list[str] = []
        """The files read, in order, once each (for build systems)."""
        self._files: dict[str, SourceFile] = {}
        self._open: list[str] = []
        self._once: set[str] = set()
        self._includes = 0
        self._directives = 0
        self._stopped = False

    def define_all(self, defines: Sequence[str], undefines: Sequence[str] = ()) -> None:
        """Take macros from the command line: `NAME` (meaning 1) or `NAME=VALUE`, or `NAME(A,B)=BODY`."""
        for text in defines:
            name, equals, value = text.partition("=")
            file = SourceFile("<command line>", f"{name} {value if equals else 1}", system=True)
            self._define(file, 0, len(file.text))
        for name in undefines:
            self.table.macros.pop(name, None)

    def run(self, path: str) -> Tokens:
        """All tokens of the program in `path`, ending with END. Errors go to the diagnostics."""
        file = self._read(path, None, system=False)
        if file is not None:
            try:
                self._process(file)
            except ExpansionTooLargeError as error:
                self._too_large(Span(file, 0, 0), str(error))
        last = file or SourceFile(path, "")
        self.tokens.finish(last)
        return self.tokens

    def run_text(self, file: SourceFile) -> Tokens:
        """As `run`, on text in memory."""
        try:
            self._process(file)
        except ExpansionTooLargeError as error:
            self._too_large(Span(file, 0, 0), str(error))
        self.tokens.finish(file)
        return self.tokens

    def _too_large(self, span: Span, reason: str = f"it has more than {MAX_TOKENS} tokens after preprocessing") -> None:
        self._stopped = True
        self.diagnostics.error(Kind.OVERLIMIT, f"the program is too large: {reason}", span)

    # -- files

    def _read(self, path: str, at: Span | None, system: bool) -> SourceFile | None:
        known = self._files.get(path)
        if known is not None:
            return known
        try:
            with open(path, "rb") as stream:
                data = stream.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            reason = error.strerror or str(error)
            self.diagnostics.error(Kind.IO, f"cannot read '{path}': {reason}", at)
            return None
        if len(data) > MAX_FILE_BYTES:
            self.diagnostics.error(Kind.OVERLIMIT, f"'{path}' is larger than {MAX_FILE_BYTES >> 20} MiB", at)
            return None
        if b"\0" in data:
            self.diagnostics.error(Kind.IO, f"'{path}' is not a text file", at)
            return None
        text = data.decode("utf-8", errors="replace").removeprefix("\ufeff")
        file = SourceFile(path, text, system, included_at=at)
        self._files[path] = file
        self.dependencies.append(path)
        return file

    def _find(self, name: str, quoted: bool, from_path: str) -> tuple[str, bool] | None:
        """The path of an included file, and whether it is one of the compiler's own."""
        if os.path.isabs(name):
            return (name, False) if os.path.isfile(name) else None
        folders = [os.path.dirname(from_path)] if quoted else []
        for folder in folders + self.include_dirs:
            path = os.path.normpath(os.path.join(folder, name))
            if os.path.isfile(path):
                return path, False
        builtin = BUILTIN_INCLUDE_DIR / name
        return (str(builtin), True) if builtin.is_file() else None

    def _similar_files(self, name: str, quoted: bool) -> tuple[Note, ...]:
        """A hint where a file that can be included has nearly that name."""
        folder, wanted = os.path.split(name)
        if os.path.isabs(name) or "\0" in name or not wanted:
            return ()
        places = [os.path.dirname(self._open[-1]) or "."] if quoted else []
        found: set[str] = set()
        for place in [*places, *self.include_dirs, str(BUILTIN_INCLUDE_DIR)]:
            try:
                with os.scandir(os.path.join(place, folder)) as entries:
                    found.update(entry.name for _, entry in zip(range(MAX_SIMILAR), entries, strict=False))
            except OSError:
                continue
        hint = closest(wanted, found)
        return (Note(f"did you mean '{os.path.join(folder, hint)}'?"),) if hint is not None else ()

    # -- text

    def _process(self, file: SourceFile) -> None:
        """Take in a whole file: text, directives, text, …"""
        text = file.text
        conditions: list[_Condition] = []
        self._open.append(file.path)
        at = segment = 0
        while not self._stopped and not self.diagnostics.full:
            at = _TO_HASH.match(text, at).end()  # type: ignore[union-attr]  # it matches the empty string too
            if at >= len(text) or text[at] != "#":
                break
            line_start = text.rfind("\n", segment, at) + 1 or segment
            if text[line_start:at].strip(" \t\r"):
                at += 1  # in the middle of a line: `{#}`
                continue
            self._take_text(file, segment, at)
            word = _DIRECTIVE.match(text, at + 1)
            stop = _LOGICAL_LINE.match(text, at + 1).end()  # type: ignore[union-attr]
            assert word is not None
            name = word.group(1) or ""
            rest = word.end()
            self._directives += 1
            if self._directives > MAX_TOKENS:
                self._too_large(Span(file, at, word.end()), f"it has more than {MAX_TOKENS} directives")
                break
            file, at = self._directive(file, name, Span(file, at, word.end()), rest, stop, conditions)
            segment = at
        if not self._stopped:
            self._take_text(file, segment, len(text))
        for condition in conditions[: self.diagnostics.limit]:
            self.diagnostics.error(Kind.PREPROCESSOR, "this conditional has no #endif", condition.span)
        self._open.pop()

    def _take_text(self, file: SourceFile, start: int, stop: int) -> None:
        """Append the tokens of text between two directives, macros expanded."""
        if stop - start > MAX_TOKENS and count(file.text, start, stop, MAX_TOKENS) >= MAX_TOKENS:
            self._too_large(Span(file, start, start))
            return
        texts, starts, ends = split(file.text, start, stop)
        if not texts:
            return
        tokens = self.tokens
        macros = self.table.macros
        if macros.keys().isdisjoint(texts):
            tokens.texts += texts
            tokens.starts += starts
            tokens.ends += ends
            tokens.files += [file] * len(texts)
        else:
            first = next(index for index, text in enumerate(texts) if text in macros)
            tokens.texts += texts[:first]
            tokens.starts += starts[:first]
            tokens.ends += ends[:first]
            tokens.files += [file] * first
            self._append(self.table.expand(to_macro_tokens(file, texts, starts, ends, first)))
        if len(tokens.texts) > MAX_TOKENS:
            self._too_large(Span(file, start, start))

    def _append(self, expanded: list[MacroToken]) -> None:
        tokens = self.tokens
        base = len(tokens.texts)
        for index, token in enumerate(expanded):
            if token.expansion is not None:
                tokens.expansions[base + index] = token.expansion
        tokens.texts += [token.text for token in expanded]
        tokens.starts += [token.start for token in expanded]
        tokens.ends += [token.end for token in expanded]
        tokens.files += [token.file for token in expanded]

    # -- directives

    def _directive(
        self, file: SourceFile, name: str, span: Span, rest: int, stop: int, conditions: list[_Condition]
    ) -> tuple[SourceFile, int]:
        """Obey one directive, whose arguments are text[rest:stop]; returns where to go on."""
        match name:
            case "include":
                self._include(file, rest, stop, span)
            case "define":
                self._define(file, rest, stop)
            case "undef":
                names = split(file.text, rest, stop)[0]
                if names:
                    self.table.macros.pop(names[0], None)
                else:
                    self.diagnostics.error(Kind.PREPROCESSOR, "#undef needs a name", span)
            case "if" | "ifdef" | "ifndef":
                taken = self._condition(file, name, rest, stop, span)
                conditions.append(_Condition(span, taken))
                if not taken:
                    return file, self._skip(file, stop, conditions)
            case "elif" | "else":
                if not conditions or conditions[-1].had_else:
                    self.diagnostics.error(Kind.PREPROCESSOR, f"#{name} without #if", span)
                else:
                    conditions[-1].had_else |= name == "else"
                    return file, self._skip(file, stop, conditions)
            case "endif":
                if conditions:
                    conditions.pop()
                else:
                    self.diagnostics.error(Kind.PREPROCESSOR, "#endif without #if", span)
            case "error":
                self.diagnostics.error(Kind.PREPROCESSOR, f"#error {file.text[rest:stop].strip()}", span)
            case "warning":
                self.diagnostics.warning(Kind.PREPROCESSOR, f"#warning {file.text[rest:stop].strip()}", span)
            case "pragma":
                if split(file.text, rest, stop)[0] == ["once"]:
                    self._once.add(file.path)
            case "line":
                return self._line(file, rest, stop, span)
            case _ if name.isdigit():
                return self._line(file, span.end - len(name), stop, span)
            case "" if not split(file.text, rest, stop)[0]:
                pass
            case _:
                # cpp, as p4c calls it, hands on what it does not know, and p4c's lexer skips it
                self.diagnostics.warning(Kind.IGNORE, f"unknown directive '#{name}': the line is left out", span)
        return file, stop

    def _line(self, file: SourceFile, rest: int, stop: int, span: Span) -> tuple[SourceFile, int]:
        """`#line N "file"` (or cpp's `# N "file"`): what follows is shown under another name and number."""
        texts, starts, ends = split(file.text, rest, stop)
        texts = [token.text for token in self.table.expand(to_macro_tokens(file, texts, starts, ends))]
        number = texts[0] if texts else ""
        if not number.isdigit() or len(number) > 9 or (len(texts) > 1 and not texts[1].startswith('"')):
            self.diagnostics.error(Kind.PREPROCESSOR, '#line needs a number, then perhaps a "file"', span)
            return file, stop
        path = texts[1][1:-1] if len(texts) > 1 else file.path
        actual = file.position(stop).line - file.line_offset + 1
        return replace(file, path=path, line_offset=int(number) - actual), stop

    def _define(self, file: SourceFile, rest: int, stop: int) -> None:
        texts, starts, ends = split(file.text, rest, stop)
        if not texts or not (texts[0][0].isalpha() or texts[0][0] == "_"):
            at = Span(file, starts[0], ends[0]) if texts else Span(file, rest, max(stop, rest))
            self.diagnostics.error(Kind.PREPROCESSOR, "#define needs a name", at)
            return
        name = texts[0]
        span = Span(file, starts[0], ends[0])
        if name == "defined" or name in BUILTIN:
            self.diagnostics.error(Kind.PREPROCESSOR, f"'{name}' cannot be defined", span)
            return
        parameters: tuple[str, ...] | None = None
        variadic = False
        body = 1
        if len(texts) > 1 and texts[1] == "(" and starts[1] == ends[0]:
            parsed = _parameters(texts)
            if parsed is None:
                self.diagnostics.error(Kind.PREPROCESSOR, f"the parameters of macro '{name}' are not well formed", span)
                return
            parameters, variadic, body = parsed
        tokens = to_macro_tokens(file, texts, starts, ends, body)
        if (
            tokens
            and (tokens[0].text + tokens[-1].text).find("##") >= 0
            and "##"
            in (
                "".join(t.text for t in tokens[:2]),
                "".join(t.text for t in tokens[-2:]),
            )
        ):
            self.diagnostics.error(Kind.PREPROCESSOR, f"the body of macro '{name}' begins or ends with '##'", span)
            return
        self.table.define(Macro(name, parameters, variadic, tuple(_join_hashes(tokens)), span))

    # -- conditionals

    def _condition(self, file: SourceFile, name: str, rest: int, stop: int, span: Span) -> bool:
        texts, starts, ends = split(file.text, rest, stop)
        if name != "if":
            if not texts:
                self.diagnostics.error(Kind.PREPROCESSOR, f"#{name} needs a name", span)
                return False
            return (texts[0] in self.table.macros) == (name == "ifdef")
        try:
            tokens = self._replace_defined(to_macro_tokens(file, texts, starts, ends), span)
            if not tokens:
                raise ConditionError("#if needs a condition", span)
            return evaluate(self.table.expand(tokens)) != 0
        except ConditionError as error:
            self.diagnostics.error(Kind.PREPROCESSOR, error.message, error.span or span)
            return False

    def _replace_defined(self, tokens: list[MacroToken], span: Span) -> list[MacroToken]:
        """`defined X` and `defined(X)` as 1 or 0."""
        result: list[MacroToken] = []
        index = 0
        while index < len(tokens):
            token = tokens[index]
            if token.text != "defined":
                result.append(token)
                index += 1
                continue
            following = [t.text for t in tokens[index + 1 : index + 4]]
            if len(following) == 3 and following[0] == "(" and following[2] == ")":
                name, used = following[1], 4
            elif following and following[0] != "(":
                name, used = following[0], 2
            else:
                raise ConditionError("'defined' needs a name", token.span)
            result.append(replace(token, text=str(int(name in self.table.macros))))
            index += used
        return result

    def _skip(self, file: SourceFile, at: int, conditions: list[_Condition]) -> int:
        """Skip a branch that is not taken; returns the place behind the directive that ends the skipping."""
        text = file.text
        depth = 0
        while found := _SKIP.search(text, at):
            at = found.end()
            name = found.group(1)
            if name is None:
                continue
            if name in ("if", "ifdef", "ifndef"):
                depth += 1
            elif name == "endif":
                if depth == 0:
                    conditions.pop()
                    return _LOGICAL_LINE.match(text, at).end()  # type: ignore[union-attr]
                depth -= 1
            elif depth == 0:
                stop = _LOGICAL_LINE.match(text, at).end()  # type: ignore[union-attr]
                condition = conditions[-1]
                span = Span(file, text.index("#", found.start()), at)
                if condition.had_else:
                    self.diagnostics.error(Kind.PREPROCESSOR, f"#{name} after #else", span)
                condition.had_else |= name == "else"
                if not condition.taken and (name == "else" or self._condition(file, "if", at, stop, span)):
                    condition.taken = True
                    return stop
                at = stop
        return len(text)

    # -- includes

    def _include(self, file: SourceFile, rest: int, stop: int, span: Span) -> None:
        written = file.text[rest:stop].strip()
        if not written.startswith(("<", '"')):
            texts, starts, ends = split(file.text, rest, stop)
            written = "".join(token.text for token in self.table.expand(to_macro_tokens(file, texts, starts, ends)))
        closing = ">" if written.startswith("<") else '"'
        end = written.find(closing, 1)
        if not written.startswith(("<", '"')) or end < 2:
            self.diagnostics.error(Kind.PREPROCESSOR, '#include needs "file" or <file>', span)
            return
        name = written[1:end]
        at = Span(file, span.start, stop)
        if "\0" in name or (found := self._find(name, closing == '"', self._open[-1])) is None:
            searched = ", ".join(self.include_dirs) or "none"
            notes = [*self._similar_files(name, closing == '"'), Note(f"include folders given with -I: {searched}")]
            self.diagnostics.error(Kind.NOT_FOUND, f"include file '{name}' not found", at, notes)
            return
        path, system = found
        if path in self._once:
            return
        self._includes += 1
        if len(self._open) >= MAX_INCLUDE_DEPTH or self._includes > MAX_INCLUDES:
            cycle = f": '{path}' includes itself" if path in self._open else ""
            self.diagnostics.error(Kind.OVERLIMIT, f"#include is nested too deeply{cycle}", at)
            self._stopped = True
            return
        included = self._read(path, at, system or file.system)
        if included is not None:
            self._process(included)


def _parameters(texts: list[str]) -> tuple[tuple[str, ...], bool, int] | None:
    """The parameters of a function-like macro, whether it is variadic, and the index where its body starts."""
    names: list[str] = []
    variadic = False
    index = 2
    if index < len(texts) and texts[index] == ")":
        return (), False, index + 1
    while index < len(texts) and not variadic:
        text = texts[index]
        if text == "...":
            names.append("__VA_ARGS__")
            variadic = True
        elif text[0].isalpha() or text[0] == "_":
            names.append(text)
            if index + 1 < len(texts) and texts[index + 1] == "...":
                variadic = True
                index += 1
        else:
            return None
        index += 1
        if index >= len(texts) or texts[index] not in (",", ")"):
            return None
        index += 1
        if texts[index - 1] == ")":
            return (tuple(names), variadic, index) if len(set(names)) == len(names) else None
    return None


def _join_hashes(tokens: list[MacroToken]) -> list[MacroToken]:
    """`#` `#` side by side is the paste operator."""
    result: list[MacroToken] = []
    for token in tokens:
        if token.text == "#" and result and result[-1].text == "#" and not token.space:
            result[-1] = replace(result[-1], text="##", end=token.end)
        else:
            result.append(token)
    return result


def render(tokens: Tokens) -> str:
    """The preprocessed program as text, with line markers, as `cpp` writes it (the `-E` option)."""
    parts: list[str] = []
    file: SourceFile | None = None
    line = 0
    last_end = -1
    for text, start, end, source in zip(tokens.texts, tokens.starts, tokens.ends, tokens.files, strict=True):
        if not text:
            break
        at = source.position(start).line
        if source is not file or not line <= at <= line + 8:
            newline = "\n" if parts else ""
            parts.append(f'{newline}# {at} "{source.path}"\n')
            file = source
        elif at > line:
            parts.append("\n" * (at - line))
        elif start != last_end:
            parts.append(" ")
        parts.append(text)
        line = at + text.count("\n")
        last_end = end
    return "".join(parts) + "\n"
