"""`kulvert diff`: what is wanted, laid beside what the switch gives back."""

from __future__ import annotations

import base64
from typing import Literal

import msgspec
from rich.markup import escape

from controlplane.p4rt.codec import WireEntity
from controlplane.p4rt.connection import Target
from kulvert.inspection.controller import Controller
from kulvert.inspection.present import make_console, print_json
from kulvert.inspection.switch import Switch
from p4base.messages import p4r

_SIGNS = {"missing": ("+", "green"), "extra": ("-", "red"), "different": ("!", "yellow")}


class Difference(msgspec.Struct, frozen=True):
    """One entity. `object` wants it; "" if nobody does. `wanted` and `installed` are the entities in protobuf's text."""

    kind: Literal["missing", "extra", "different"]
    text: str
    object: str
    wanted: str
    installed: str


def find_differences(switch: Switch, controller: Controller) -> list[Difference]:
    """Raises UserError."""
    installed = {wire.key: wire for wire in switch.read_all()}
    found = []
    for item in controller.wanted():
        wanted = switch.codec.canonical(p4r.Entity.FromString(base64.b64decode(item.entity)))
        if wanted is None:
            continue
        there = installed.pop(wanted.key, None)
        if there is None:
            found.append(Difference("missing", item.text, item.object, _text(wanted), ""))
        elif there.body != wanted.body:
            found.append(Difference("different", item.text, item.object, _text(wanted), _text(there)))
    rest = list(installed.values())
    for wire, explained in zip(rest, controller.explain([wire.body for wire in rest]) if rest else [], strict=True):
        found.append(Difference("extra", explained.text, explained.object, "", _text(wire)))
    return found


def _text(wire: WireEntity) -> str:
    return str(wire.message).strip()


def print_differences(target: Target, controller: Controller, output: str) -> int:
    """Print them; 0 if there are none. Raises UserError."""
    with Switch(target) as switch:
        found = find_differences(switch, controller)
    if output == "json":
        print_json(found)
        return 1 if found else 0
    console = make_console()
    for item in found:
        sign, colour = _SIGNS[item.kind]
        owner = f"  ({item.object})" if item.object else ""
        console.print(f"[{colour}]{sign} {escape(item.text + owner)}[/]", soft_wrap=True)
    console.print(f"{len(found)} differences" if found else "no difference", markup=False)
    return 1 if found else 0
