"""Functions, methods and constructors of one name, told apart by the number and the names of their parameters (section 8.20)."""

from __future__ import annotations

from collections.abc import Sequence

from p4compiler.syntax import ast

MAX_COMPARISONS = 5_000_000
"""Of calls with overloads that have optional parameters, in one program: each call looks at all of them."""


def is_optional(parameter: ast.Parameter) -> bool:
    """An argument for it may be left out."""
    return parameter.default is not None or any(a.name == "optional" for a in parameter.annotations)


class TooManyOverloadsError(Exception):
    """Choosing among them would take too long."""


class Overloads:
    """What has one name, in order of declaration. A call finds those that take its arguments without looking at each."""

    __slots__ = (
        "_by_count",
        "_by_names",
        "_by_signature",
        "_with_optional",
        "comparisons",
        "declarations",
        "prototypes",
    )

    def __init__(self) -> None:
        self.declarations: list[ast.Declaration] = []
        self.prototypes: list[ast.FunctionPrototype] = []
        self.comparisons = 0
        self._by_signature: dict[tuple[str, ...], ast.Declaration] = {}
        self._by_count: dict[int, list[int]] = {}
        self._by_names: dict[frozenset[str], list[int]] = {}
        self._with_optional: list[tuple[int, tuple[str, ...], frozenset[str], frozenset[str]]] = []
        """Index, names in order, all names, and those that must be given."""

    def add(self, declaration: ast.Declaration, prototype: ast.FunctionPrototype) -> ast.Declaration | None:
        """Add one; not, and return the earlier, if no call could tell the two apart."""
        parameters = prototype.parameters
        signature = tuple(p.name.text for p in parameters)
        earlier = self._by_signature.get(signature)
        if earlier is not None:
            return earlier
        self._by_signature[signature] = declaration
        index = len(self.prototypes)
        self.declarations.append(declaration)
        self.prototypes.append(prototype)
        if any(map(is_optional, parameters)):
            required = frozenset(p.name.text for p in parameters if not is_optional(p))
            self._with_optional.append((index, signature, frozenset(signature), required))
        else:
            self._by_count.setdefault(len(parameters), []).append(index)
            self._by_names.setdefault(frozenset(signature), []).append(index)
        return None

    def fitting(self, arguments: Sequence[ast.Argument]) -> list[int]:
        """The indices of those that take the arguments, by their number and names.

        Raises:
            TooManyOverloadsError: as it says.
        """
        names = [argument.name.text for argument in arguments if argument.name is not None]
        if not names:
            result = list(self._by_count.get(len(arguments), ()))
        elif len(names) == len(arguments):
            result = list(self._by_names.get(frozenset(names), ()))
        else:
            # An error that is reported later; whatever has as many parameters is meant.
            result = [i for i in self._by_count.get(len(arguments), ()) if _accepts(self.prototypes[i], arguments)]
        if self._with_optional:
            self.comparisons += len(self._with_optional)
            if self.comparisons > MAX_COMPARISONS:
                raise TooManyOverloadsError
            result += self._fitting_with_optional(len(arguments), names)
            result.sort()
        return result

    def _fitting_with_optional(self, count: int, names: list[str]) -> list[int]:
        named, positional = frozenset(names), count - len(names)
        result = []
        for index, signature, allowed, required in self._with_optional:
            given = named.union(signature[:positional]) if positional else named
            if required <= given <= allowed and count <= len(signature):
                result.append(index)
        return result


def _accepts(prototype: ast.FunctionPrototype, arguments: Sequence[ast.Argument]) -> bool:
    parameters = prototype.parameters
    if len(arguments) > len(parameters):
        return False
    names = {p.name.text for p in parameters}
    given: set[str] = set()
    for index, argument in enumerate(arguments):
        name = argument.name.text if argument.name is not None else parameters[index].name.text
        if name not in names:
            return False
        given.add(name)
    return all(p.name.text in given or is_optional(p) for p in parameters)
