"""Declarations that nothing refers to, and the annotations that say what warnings are to be."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from p4compiler.diagnostics import (
    ERRORS_ONLY,
    Diagnostics,
    Kind,
    Severity,
    did_you_mean,
    is_kind_of_p4c,
    kind_named,
)
from p4compiler.syntax import ast
from p4compiler.types.scope import describe


def declarations_of(items: Iterable[ast.Node | None]) -> Iterator[ast.Declaration]:
    """All declarations in the order of the text, those inside of others and of statements too."""
    return (item for item in _nodes_of(items) if isinstance(item, ast.Declaration))


def _nodes_of(items: Iterable[ast.Node | None]) -> Iterator[ast.Node]:
    """All declarations and statements in the order of the text."""
    # A stack and no recursion: `else if` chains are as deep as they are long.
    waiting = [item for item in items if item is not None][::-1]
    while waiting:
        item = waiting.pop()
        yield item
        waiting.extend(reversed([inner for inner in _inside(item) if inner is not None]))


def _inside(item: ast.Node) -> Iterable[ast.Node | None]:
    match item:
        case ast.Action(parameters=parameters, body=body):
            return (*parameters, body)
        case ast.Function(body=body):
            return (body,)  # its parameters are often those of a prototype
        case (
            ast.StructDeclaration(type_parameters=variables)
            | ast.HeaderDeclaration(type_parameters=variables)
            | ast.HeaderUnionDeclaration(type_parameters=variables)
            | ast.ExternDeclaration(type_parameters=variables)
            | ast.ParserTypeDeclaration(type_parameters=variables)
            | ast.ControlTypeDeclaration(type_parameters=variables)
            | ast.PackageTypeDeclaration(type_parameters=variables)
        ):
            return variables
        case ast.Control(locals=local, body=body):
            return (*local, body)
        case ast.Parser(locals=local, states=states):
            return (*local, *states)
        case ast.ParserState(body=body):
            return body
        case ast.Instantiation(body=inner):
            return inner or ()
        case ast.Block(body=inner):
            return inner
        case ast.If(then=then, otherwise=otherwise):
            return (then, otherwise)
        case ast.Switch(cases=cases):
            return tuple(case.body for case in cases)
        case ast.For(init=init, body=body):
            return (*init, body)
        case ast.ForIn(body=body):
            return (body,)
    return ()


def heed_warning_annotations(program: ast.Program, diagnostics: Diagnostics) -> None:
    """`@noWarn("kind")` at a declaration or statement holds for everything inside of it; `@diagnostic("kind", "disable")`, or
    `"warn"` or `"error"`, for the whole program, over the options.
    """
    for item in _nodes_of(program.declarations):
        for annotation in item.annotations if isinstance(item, ast.Declaration | ast.Statement) else ():
            if annotation.name == "diagnostic":
                _heed_diagnostic(annotation, diagnostics)
            if annotation.name != "noWarn":
                continue
            for token in annotation.tokens or ():
                name = token.text.strip('"')
                kind = kind_named(name)
                if kind is not None:
                    diagnostics.silence(kind, item.span)
                elif not is_kind_of_p4c(name):
                    _warn_of_unknown_kind(name, annotation, diagnostics)


_SEVERITIES = {"disable": None, "warn": Severity.WARNING, "error": Severity.ERROR}


def _heed_diagnostic(annotation: ast.Annotation, diagnostics: Diagnostics) -> None:
    tokens = [token for token in annotation.tokens or () if token.text != ","]
    if len(tokens) != 2 or not all(token.is_string for token in tokens):
        diagnostics.warning(
            Kind.MISSING, "'@diagnostic' takes two strings, a kind and what it is to be", annotation.span
        )
        return
    name, action = (token.text[1:-1] for token in tokens)
    if action not in _SEVERITIES:
        message = f"'@diagnostic' knows 'disable', 'warn' and 'error', not '{action}'"
        diagnostics.warning(Kind.MISMATCH, message, annotation.span)
        return
    kind = kind_named(name)
    if kind is None:
        if not is_kind_of_p4c(name):
            _warn_of_unknown_kind(name, annotation, diagnostics)
    elif kind in ERRORS_ONLY and action != "error":
        diagnostics.warning(Kind.MISMATCH, f"'{name}' is a kind of errors, which stay errors", annotation.span)
    else:
        diagnostics.treat(kind, _SEVERITIES[action])


def _warn_of_unknown_kind(name: str, annotation: ast.Annotation, diagnostics: Diagnostics) -> None:
    hint = did_you_mean(name, [known.value for known in Kind])
    diagnostics.warning(Kind.UNKNOWN, f"there is no kind '{name}' of warnings", annotation.span, hint)


_WARNED = (
    ast.Action,
    ast.Constant,
    ast.Control,
    ast.ControlTypeDeclaration,
    ast.Function,
    ast.Instantiation,
    ast.PackageTypeDeclaration,
    ast.Parameter,
    ast.Parser,
    ast.ParserTypeDeclaration,
    ast.Table,
    ast.Typedef,
    ast.TypeParameter,
    ast.Variable,
)
"""What can be unused. Types that only describe data, and externs, are often written for others to use."""

_DESCRIBED = (
    ast.Control,
    ast.ControlTypeDeclaration,
    ast.PackageTypeDeclaration,
    ast.Parser,
    ast.ParserTypeDeclaration,
    ast.Table,
)


def warn_unused(program: ast.Program, used: Collection[ast.Declaration], diagnostics: Diagnostics) -> None:
    """A warning for each declaration that no other text names."""
    top = set(program.declarations)
    methods: set[ast.Declaration] = set()  # what an extern calls, not the program
    for declaration in declarations_of(program.declarations):
        if isinstance(declaration, ast.Instantiation):
            methods.update(declaration.body or ())
        if declaration in used or not isinstance(declaration, _WARNED):
            continue
        name = declaration.name.text
        if name.startswith("__") or declaration in methods or _only_asserts(declaration):
            continue
        if name == "main" and isinstance(declaration, ast.Instantiation) and declaration in top:
            continue
        if isinstance(declaration, _DESCRIBED):
            message = f"{describe(declaration)} '{name}' is unused"
        else:
            message = f"'{name}' is unused"
        diagnostics.warning(Kind.UNUSED, message, declaration.name.span)


def _only_asserts(declaration: ast.Declaration) -> bool:
    """The constant is there for the `static_assert` that gives its value."""
    if not isinstance(declaration, ast.Constant) or not isinstance(declaration.value, ast.Call):
        return False
    callee = declaration.value.callee
    return isinstance(callee, ast.PathExpression) and callee.name == "static_assert"
