"""Checking of annotations: what the language itself knows of them (specification, section 20)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from p4compiler.diagnostics import Diagnostics, Kind, Note, closest
from p4compiler.syntax import ast
from p4compiler.syntax.tokens import KEYWORDS
from p4compiler.types import model
from p4compiler.types.operators import Operators

STRING_ANNOTATIONS = ("name", "deprecated", "noWarn")
KNOWN_ANNOTATIONS = frozenset(
    (
        *(
            "action_restriction",
            "alias",
            "atomic",
            "brief",
            "controller_header",
            "defaultonly",
            "deprecated",
            "description",
            "diagnostic",
        ),
        *("disable_optimization", "entry_restriction", "field_list", "format", "hidden", "length", "likely", "match"),
        *("max_group_size", "max_length", "max_member_weight", "name", "noSideEffects", "noWarn", "optional"),
        *("p4runtime_translation", "p4runtime_translation_mappings", "pkginfo", "platform_property", "priority"),
        *("proto_id", "pure", "referenced_by", "refers_to", "selector_size_semantics", "synchronous", "tableonly"),
        *("unlikely", "unsupported"),
    )
)
"""What the specification, p4c and P4Runtime know."""


class Annotations(Operators):
    def __init__(self, program: ast.Program, diagnostics: Diagnostics) -> None:
        super().__init__(program, diagnostics)
        self._hints: dict[str, str | None] = {}
        """For each name that is not known, the known one that is like it: the same names come again and again."""

    def check_annotations(self, annotations: Sequence[ast.Annotation]) -> None:
        seen: dict[str, ast.Annotation] = {}
        for annotation in annotations:
            earlier = seen.get(annotation.name)
            if earlier is not None and (annotation.structured or earlier.structured):
                notes = [Note("the first one is here", earlier.span)]
                self.error(Kind.DUPLICATE, f"annotation '@{annotation.name}' is given twice", annotation, notes)
            seen.setdefault(annotation.name, annotation)
            if annotation.name not in KNOWN_ANNOTATIONS and len(annotation.name) > 3:
                self._misspelt(annotation)
            if annotation.structured:
                self._structured(annotation)
            elif annotation.name in STRING_ANNOTATIONS:
                self._string(annotation)
            elif annotation.name == "pkginfo" and not annotation.tokens:
                self.error(Kind.INVALID, "'@pkginfo' needs pairs of names and values", annotation)
            elif annotation.name == "match":
                self._match(annotation)

    def check_length(self, annotations: Sequence[ast.Annotation], before: Mapping[str, ast.Field]) -> None:
        """`@length(expression)` of a varbit field tells its size by the fields before it."""
        for annotation in annotations:
            if annotation.name != "length" or annotation.structured:
                continue
            follows_dot = False
            for token in annotation.tokens or ():
                name = token.text
                is_name = name.isidentifier() and name not in KEYWORDS and not follows_dot
                if is_name and name not in before and self.scope.find(name) is None:
                    self.not_found("field", name, token.span, before)
                follows_dot = name == "."

    def _misspelt(self, annotation: ast.Annotation) -> None:
        """Annotations may have any name; but one letter off a known one is more likely a mistake."""
        if annotation.name not in self._hints:
            self._hints[annotation.name] = closest(annotation.name, KNOWN_ANNOTATIONS, farthest=1)
        hint = self._hints[annotation.name]
        if hint is not None:
            notes = [Note(f"did you mean '@{hint}'?")]
            self.warning(Kind.UNKNOWN, f"annotation '@{annotation.name}' means nothing here", annotation, notes)

    def _structured(self, annotation: ast.Annotation) -> None:
        keys: dict[str, ast.Name] = {}
        for pair in annotation.pairs:
            if pair.name.text in keys:
                self.duplicate(pair.name, keys[pair.name.text])
            keys.setdefault(pair.name.text, pair.name)
        for value in [*annotation.arguments, *(pair.value for pair in annotation.pairs)]:
            type_ = self.expression(value)
            if isinstance(type_, model.UnknownType):
                continue
            if not isinstance(type_, model.InfIntType | model.BitsType | model.StringType | model.BoolType):
                self.type_error("a structured annotation holds numbers, strings and bools only", value)
            elif self.constant(value) is None:
                self.type_error("a structured annotation's value must be a compile-time constant", value)

    def _string(self, annotation: ast.Annotation) -> None:
        """`@name("…")`, perhaps of several strings joined."""
        tokens = annotation.tokens or ()
        fine = len(tokens) % 2 == 1 and all(
            token.is_string if index % 2 == 0 else token.text == "++" for index, token in enumerate(tokens)
        )
        if not fine:
            self.error(Kind.INVALID, f"'@{annotation.name}' needs a string", annotation)

    def _match(self, annotation: ast.Annotation) -> None:
        """`@match(kind)` on a field of a value set's struct."""
        tokens = annotation.tokens or ()
        if len(tokens) != 1 or tokens[0].text not in self.match_kind_members:
            self.type_error("'@match' needs a match kind", annotation)
