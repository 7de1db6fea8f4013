"""Macros: definition, and expansion with `#`, `##`, variadic parameters and no self-expansion.

Expansion works on lists of `MacroToken` only where a macro's name occurs; text without macros never comes here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from p4compiler.diagnostics import Diagnostics, Kind, Note
from p4compiler.source import SourceFile, Span
from p4compiler.syntax.tokens import split

MAX_TOKENS = 1_000_000
"""A program (or one macro's expansion) with more tokens than this is refused: the next step would take minutes."""

MAX_WORK = 2 * MAX_TOKENS
"""Tokens that are made or looked at in all expansions of one run, those of intermediate steps too."""

MAX_DEPTH = 200
"""Of macro calls in arguments of macro calls."""

NOTHING: frozenset[str] = frozenset()
BUILTIN = ("__FILE__", "__LINE__")


@dataclass(slots=True)
class MacroToken:
    """A token on its way through macro expansion.

    Attributes:
        space: white space stands before it (matters to `#` only).
        expansion: its place in a macro's body, if it came from there.
        hidden: macros whose expansion gave this token: they do not expand again.
    """

    text: str
    file: SourceFile
    start: int
    end: int
    space: bool = False
    expansion: Span | None = None
    hidden: frozenset[str] = NOTHING

    @property
    def span(self) -> Span:
        return Span(self.file, self.start, self.end, self.expansion)


@dataclass(frozen=True, slots=True)
class Macro:
    """`parameters` is None for an object-like macro; the last one of a variadic macro takes the rest."""

    name: str
    parameters: tuple[str, ...] | None
    variadic: bool
    body: tuple[MacroToken, ...]
    span: Span | None

    def same_as(self, other: Macro) -> bool:
        return (self.parameters, self.variadic, [t.text for t in self.body]) == (
            other.parameters,
            other.variadic,
            [t.text for t in other.body],
        )


class ExpansionTooLargeError(Exception):
    """Macros expand to too much, or nest too deeply; reported by the preprocessor, never seen outside. `str()` says which."""


def to_macro_tokens(
    file: SourceFile, texts: list[str], starts: list[int], ends: list[int], first: int = 0
) -> list[MacroToken]:
    """The arrays' tokens from index `first` on, as objects."""
    result = []
    last_end = -1
    for index in range(first, len(texts)):
        start = starts[index]
        result.append(MacroToken(texts[index], file, start, ends[index], space=start != last_end))
        last_end = ends[index]
    return result


class MacroTable:
    """The macros defined at one point of the preprocessor's run, and their expansion."""

    def __init__(self, diagnostics: Diagnostics) -> None:
        self.macros = {name: Macro(name, None, False, (), None) for name in BUILTIN}
        self.diagnostics = diagnostics
        self._work = 0
        self._depth = 0

    def define(self, macro: Macro) -> None:
        old = self.macros.get(macro.name)
        if old is not None and not old.same_as(macro):
            notes = [Note("defined before here", old.span)] if old.span else []
            self.diagnostics.warning(Kind.PREPROCESSOR, f"macro '{macro.name}' is defined again", macro.span, notes)
        self.macros[macro.name] = macro

    def expand(self, tokens: list[MacroToken]) -> list[MacroToken]:
        """All macros in `tokens` replaced.

        Raises:
            ExpansionTooLargeError: there is no end to it.
        """
        if self._depth >= MAX_DEPTH:
            raise ExpansionTooLargeError(f"macro calls are nested more than {MAX_DEPTH} levels deep")
        self._depth += 1
        try:
            return self._expand(tokens)
        finally:
            self._depth -= 1

    def _spend(self, number: int) -> None:
        self._work += number
        if self._work > MAX_WORK:
            raise ExpansionTooLargeError(f"its macros expand to more than {MAX_WORK} tokens")

    def _expand(self, tokens: list[MacroToken]) -> list[MacroToken]:
        output: list[MacroToken] = []
        waiting = tokens[::-1]
        while waiting:
            token = waiting.pop()
            macro = self.macros.get(token.text)
            if macro is None or token.text in token.hidden:
                output.append(token)
                continue
            if macro.span is None and token.text in BUILTIN:
                output.append(replace(token, text=_builtin(token)))
                continue
            if macro.parameters is None:
                replacement = self._substitute(macro, token, token.end, {}, token.hidden | {macro.name})
            else:
                if not (waiting and waiting[-1].text == "("):
                    output.append(token)
                    continue
                taken = self._take_arguments(macro, token, waiting)
                if taken is None:
                    continue
                arguments, closing = taken
                end = closing.end if closing.file is token.file else token.end
                hidden = (token.hidden & closing.hidden) | {macro.name}
                replacement = self._substitute(macro, token, max(end, token.end), arguments, hidden)
            # Longer sets of hidden macros are more work too.
            self._spend(len(replacement) + len(token.hidden) // 8)
            if len(waiting) + len(output) > MAX_TOKENS:
                raise ExpansionTooLargeError(f"it has more than {MAX_TOKENS} tokens after preprocessing")
            waiting.extend(reversed(replacement))
        return output

    def _take_arguments(
        self, macro: Macro, name: MacroToken, waiting: list[MacroToken]
    ) -> tuple[dict[str, list[MacroToken]], MacroToken] | None:
        """Take `( ... )` off the end of `waiting`; None (and an error) if it does not fit the macro."""
        assert macro.parameters is not None
        waiting.pop()
        groups: list[list[MacroToken]] = [[]]
        depth = 0
        while waiting:
            token = waiting.pop()
            if token.text == ")" and depth == 0:
                break
            if token.text == "(":
                depth += 1
            elif token.text == ")":
                depth -= 1
            elif token.text == "," and depth == 0 and not (macro.variadic and len(groups) >= len(macro.parameters)):
                groups.append([])
                continue
            groups[-1].append(token)
        else:
            self.diagnostics.error(Kind.PREPROCESSOR, f"call of macro '{macro.name}' has no closing ')'", name.span)
            return None
        wanted = len(macro.parameters)
        if wanted == 0 and groups == [[]]:
            groups = []
        if macro.variadic and len(groups) == wanted - 1:
            groups.append([])
        if len(groups) != wanted:
            notes = [Note("defined here", macro.span)] if macro.span else []
            self.diagnostics.error(
                Kind.PREPROCESSOR,
                f"macro '{macro.name}' takes {wanted} argument(s), not {len(groups)}",
                name.span,
                notes,
            )
            return None
        return dict(zip(macro.parameters, groups, strict=True)), token

    def _substitute(
        self,
        macro: Macro,
        use: MacroToken,
        end: int,
        arguments: dict[str, list[MacroToken]],
        hidden: frozenset[str],
    ) -> list[MacroToken]:
        """The macro's body with its arguments in place; `use` to `end` is where the macro is used."""
        expanded: dict[str, list[MacroToken]] = {}
        result: list[MacroToken] = []
        body = macro.body
        index = 0
        paste = False
        while index < len(body):
            token = body[index]
            index += 1
            if token.text == "##" and result is not None and index < len(body):
                paste = True
                continue
            following = body[index].text if index < len(body) else ""
            if token.text == "#" and following in arguments:
                text = _stringify(arguments[following])
                piece = [self._placed(token, use, end, text)]
                index += 1
                following = body[index].text if index < len(body) else ""
            elif token.text in arguments:
                argument = arguments[token.text]
                if paste or following == "##":
                    piece = [replace(part) for part in argument]
                    if paste and macro.variadic and token.text == (macro.parameters or ("",))[-1]:
                        # `, ## __VA_ARGS__` drops the comma before an empty rest, and does not glue otherwise.
                        paste = False
                        if not argument and result and result[-1].text == ",":
                            result.pop()
                else:
                    if token.text not in expanded:
                        self._spend(len(argument))
                        expanded[token.text] = self.expand(list(argument))
                    self._spend(len(expanded[token.text]))
                    piece = [replace(part) for part in expanded[token.text]]
            else:
                piece = [self._placed(token, use, end, token.text)]
            if paste and piece and result:
                result.extend(_glue(result.pop(), piece.pop(0)))
            result.extend(piece)
            paste = False
        # Few sets, shared by many tokens.
        unions: dict[frozenset[str], frozenset[str]] = {NOTHING: hidden}
        for token in result:
            known = unions.get(token.hidden)
            if known is None:
                known = unions[token.hidden] = token.hidden | hidden
            token.hidden = known
        return result

    def _placed(self, token: MacroToken, use: MacroToken, end: int, text: str) -> MacroToken:
        definition = Span(token.file, token.start, token.end)
        return MacroToken(text, use.file, use.start, end, token.space, use.expansion or definition)


def _glue(left: MacroToken, right: MacroToken) -> list[MacroToken]:
    """`left ## right`; what gives no single token stays two that touch, as with the preprocessor that p4c runs."""
    text = left.text + right.text
    texts, _, _ = split(text, 0, len(text))
    if texts != [text] and text != "##":
        return [left, replace(right, space=False)]
    return [replace(left, text=text, hidden=left.hidden & right.hidden)]


def _builtin(token: MacroToken) -> str:
    if token.text == "__LINE__":
        return str(token.file.position(token.start).line)
    return '"' + token.file.path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _stringify(tokens: list[MacroToken]) -> str:
    parts = []
    for index, token in enumerate(tokens):
        if index and token.space:
            parts.append(" ")
        text = token.text
        parts.append(text.replace("\\", "\\\\").replace('"', '\\"') if text.startswith('"') else text)
    return '"' + "".join(parts) + '"'
