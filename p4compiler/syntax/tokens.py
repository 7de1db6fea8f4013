"""Tokens: what the preprocessor hands to the parser, as parallel arrays, and the regular expression that finds them.

A program has tens of thousands of tokens, so there is no object for each of them: the n-th token is the n-th item of each
list. A token's kind follows from its text alone: a keyword or an operator is its own kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import accumulate, islice

from p4compiler.source import SourceFile, Span

NAME = "<name>"
INTEGER = "<integer>"
STRING = "<string>"
BAD = "<bad>"
END = "<end>"

KEYWORDS = frozenset(
    [
        "abstract",
        "action",
        "actions",
        "apply",
        "bool",
        "bit",
        "break",
        "const",
        "continue",
        "control",
        "default",
        "else",
        "entries",
        "enum",
        "error",
        "exit",
        "extern",
        "false",
        "for",
        "header",
        "header_union",
        "if",
        "in",
        "inout",
        "int",
        "key",
        "list",
        "match_kind",
        "out",
        "package",
        "parser",
        "priority",
        "return",
        "select",
        "state",
        "string",
        "struct",
        "switch",
        "table",
        "this",
        "transition",
        "true",
        "tuple",
        "type",
        "typedef",
        "value_set",
        "varbit",
        "void",
        "_",
    ]
)

OPERATORS = frozenset(
    [
        "...",
        "..",
        ".",
        "&&&",
        "&&",
        "&=",
        "&",
        "<<",
        "<<=",
        "<=",
        "<",
        ">",
        ">=",
        ">>=",
        "||",
        "|+|=",
        "|+|",
        "|-|=",
        "|-|",
        "|=",
        "|",
        "==",
        "=",
        "!=",
        "!",
        "++",
        "+:",
        "+=",
        "+",
        "-=",
        "-",
        "*=",
        "*",
        "/=",
        "/",
        "%=",
        "%",
        "^=",
        "^",
        "~",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "{#}",
        ":",
        ",",
        "?",
        ";",
        "@",
        "#",
    ]
)

_COMMENT = r"//[^\n]*+(?:(?<=\\)\n[^\n]*+)*|/\*(?:[^*]++|\*(?!/))*\*/"

TOKEN = re.compile(
    rf"""
    ( (?: \s++ | \\\r?\n | {_COMMENT} )* )
    ( [A-Za-z_][A-Za-z0-9_]*+
    | [0-9][A-Za-z0-9_]*+
    | "(?:[^"\\]++|\\[\s\S])*"
    | \{{\#\}}
    | \.\.\. | \|\+\|=? | \|-\|=? | <<=? | >>= | &&&
    | \.\. | && | \|\| | [-+*/%&|^=!<>]= | \+\+ | \+:
    | [][(){{}}:,?;@\#.&<>|=!+*/%^~-]
    | /\* | "
    | [\s\S]
    )?
    """,
    re.VERBOSE,
)
"""White space and comments, then one token; matches at every place, and what is no token is one bad character."""

INTEGER_TEXT = re.compile(
    r"(?:([0-9]+)([ws]))?(?:0[xX]([0-9a-fA-F_]+)|0[oO]([0-7_]+)|0[bB]([01_]+)|(?:0[dD])?([0-9][0-9_]*|(?<=[dD])[0-9_]+))"
)
"""width, w or s, then the digits: base 16, 8, 2 or 10."""


class _KindOf(dict[str, str]):
    """The kind of each token text met so far."""

    def __missing__(self, text: str) -> str:
        first = text[:1]
        if first.isalpha() or first == "_":
            kind = NAME
        elif first.isdigit():
            kind = INTEGER
        elif first == '"' and len(text) > 1:
            kind = STRING
        else:
            kind = BAD
        self[text] = kind
        return kind


def kinds_of(texts: list[str]) -> list[str]:
    """The kind of each of `texts`."""
    kind_of = _KindOf({word: word for word in KEYWORDS | OPERATORS})
    return [kind_of[text] for text in texts]


def count(text: str, start: int, stop: int, limit: int) -> int:
    """How many tokens text[start:stop] has, counted up to `limit`: cheap enough to refuse a huge text first."""
    return sum(1 for _ in islice(TOKEN.finditer(text, start, stop), limit))


_SPLICED_WORD = re.compile(r"\w(?:\\\r?\n)+\w")
_WORD = re.compile(r"\w+")
_LINE_ENDS = re.compile(r"(?:\\\r?\n)+")


def split(text: str, start: int, stop: int) -> tuple[list[str], list[int], list[int]]:
    """The tokens of text[start:stop]: their texts, and the offsets where they start and end."""
    pairs = TOKEN.findall(text, start, stop)
    offsets = list(accumulate([len(part) for pair in pairs for part in pair], initial=start))
    texts = [pair[1] for pair in pairs]
    starts, ends = offsets[1::2], offsets[2::2]
    while texts and not texts[-1]:  # the empty match at the end, and white space before it
        texts.pop()
        starts.pop()
        ends.pop()
    if _SPLICED_WORD.search(text, start, stop):
        return _splice(text, texts, starts, ends)
    return texts, starts, ends


def _splice(text: str, texts: list[str], starts: list[int], ends: list[int]) -> tuple[list[str], list[int], list[int]]:
    """The tokens with words put together that a line's end after a backslash cuts."""
    words = [_WORD.fullmatch(part) is not None for part in texts]
    first = [
        not (index and words[index - 1] and words[index] and _LINE_ENDS.fullmatch(text, ends[index - 1], starts[index]))
        for index in range(len(texts))
    ]
    begins = [index for index, is_first in enumerate(first) if is_first]
    stops = [*begins[1:], len(texts)]
    return (
        ["".join(texts[begin:stop]) for begin, stop in zip(begins, stops, strict=True)],
        [starts[begin] for begin in begins],
        [ends[stop - 1] for stop in stops],
    )


@dataclass(slots=True)
class Tokens:
    """A preprocessed program.

    Attributes:
        texts, starts, ends, files: of each token: its text, its range of character offsets, and the file these are in. For
            a token that a macro gave, the place is the macro's use.
        expansions: for tokens from a macro's body, by index, the place in the macro's definition.
        kinds: see `kinds_of`; filled by `finish`, which adds the END token.
    """

    texts: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    files: list[SourceFile] = field(default_factory=list)
    expansions: dict[int, Span] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)

    def finish(self, file: SourceFile) -> None:
        """End the program with an END token, placed at the end of `file`, and find out the kinds."""
        self.kinds = kinds_of(self.texts)
        self.kinds.append(END)
        self.texts.append("")
        self.starts.append(len(file.text))
        self.ends.append(len(file.text))
        self.files.append(file)

    def span(self, index: int) -> Span:
        """The place of one token."""
        return Span(self.files[index], self.starts[index], self.ends[index], self.expansions.get(index))

    def span_between(self, first: int, last: int) -> Span:
        """From token `first` to token `last`, both included."""
        file = self.files[first]
        start, end = self.starts[first], self.ends[last]
        if self.files[last] is not file or end < start:
            end = self.ends[first]
        return Span(file, start, end, self.expansions.get(first) if self.expansions else None)
