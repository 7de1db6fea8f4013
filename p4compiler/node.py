"""The decorators of the compiler's many small classes: AST and IR nodes, and values such as types."""

from __future__ import annotations

from copy import copy
from dataclasses import MISSING, Field, dataclass, field
from inspect import get_annotations
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

T = TypeVar("T")

if TYPE_CHECKING:

    @dataclass_transform(frozen_default=True, eq_default=False)
    def node(cls: type[T]) -> type[T]: ...

    @dataclass_transform(frozen_default=True)
    def value(cls: type[T]) -> type[T]: ...

    @dataclass_transform(field_specifiers=(field,))
    def record(cls: type[T]) -> type[T]: ...

else:

    def node(cls: type[T]) -> type[T]:
        """A slotted class with an `__init__` made from its annotations, compared and hashed by identity.

        The type checker treats nodes as frozen dataclasses. They are neither at run time: a frozen instance takes three times
        as long to construct, the compiler makes some hundred thousand of them, and `dataclasses` itself needs a
        millisecond for each of the hundred classes, which every run of the compiler would pay.
        """
        own = [name for name, kind in get_annotations(cls).items() if not str(kind).startswith("ClassVar")]
        defaults: dict[str, Any] = dict(getattr(cls, "_node_defaults", {}))
        names: list[str] = [*getattr(cls, "__match_args__", ()), *own]
        namespace = {key: value for key, value in cls.__dict__.items() if key not in ("__dict__", "__weakref__")}
        for name in own:
            if name in namespace:
                defaults[name] = namespace.pop(name)
        namespace["__slots__"] = tuple(own)
        namespace["__match_args__"] = tuple(names)
        namespace["_node_defaults"] = defaults
        namespace["__dataclass_fields__"] = {name: _make_field(name) for name in names}
        if "__init__" not in cls.__dict__:
            namespace["__init__"] = _make_init(names, defaults)
        namespace.setdefault("__repr__", _repr)
        return type(cls)(cls.__name__, cls.__bases__, namespace)

    def value(cls: type[T]) -> type[T]:
        """As `node`, but compared and hashed by value."""
        made = node(cls)
        names = made.__match_args__
        same = "".join(f" and self.{name} == other.{name}" for name in names)
        values = "".join(f", self.{name}" for name in names)
        namespace: dict[str, Any] = {}
        exec(
            f"def __eq__(self, other):\n    return self is other or (self.__class__ is other.__class__{same})\n"
            f"def __hash__(self):\n    return hash((self.__class__{values}))",
            namespace,
        )
        made.__eq__, made.__hash__ = namespace["__eq__"], namespace["__hash__"]
        return made

    def record(cls: type[T]) -> type[T]:
        """A slotted class that can be changed, compared by value and not hashed; `field(default_factory=…)` works."""
        made = node(cls)
        same = "".join(f" and self.{name} == other.{name}" for name in made.__match_args__)
        namespace: dict[str, Any] = {}
        exec(f"def __eq__(self, other):\n    return self.__class__ is other.__class__{same}", namespace)
        made.__eq__, made.__hash__ = namespace["__eq__"], None
        return made

    @dataclass
    class _Template:
        name: str

    _TEMPLATE = _Template.__dataclass_fields__["name"]

    def _make_field(name: str) -> Any:
        """What `dataclasses.replace` and `dataclasses.fields` look at."""
        made = copy(_TEMPLATE)
        made.name = name
        return made

    def _make_init(names: list[str], defaults: dict[str, Any]) -> Any:
        made: dict[str, Any] = {"_defaults": defaults, "_missing": MISSING}
        parameters, body = "", ""
        for name in names:
            default, given = defaults.get(name, MISSING), name
            if isinstance(default, Field):
                made[f"_make_{name}"] = default.default_factory
                parameters += f", {name}=_missing"
                given = f"_make_{name}() if {name} is _missing else {name}"
            else:
                parameters += f", {name}=_defaults['{name}']" if name in defaults else f", {name}"
            body += f"\n    self.{name} = {given}"
        body = body or "\n    pass"
        exec(f"def __init__(self{parameters}):{body}", made)
        return made["__init__"]

    def _repr(self: Any) -> str:
        values = ", ".join(f"{name}={getattr(self, name, None)!r}" for name in self.__match_args__ if name != "span")
        return f"{type(self).__name__}({values})"
