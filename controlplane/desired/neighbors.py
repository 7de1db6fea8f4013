"""`neighbor_table`: the addresses that the pipeline answers ARP and neighbour solicitations for."""

from __future__ import annotations

from controlplane.desired.engine import Rule, View
from controlplane.desired.entities import Exact, Param, entry
from controlplane.desired.inputs import ATTACHMENTS, ATTACHMENTS_FILE, Output


def _derive(view: View, key: None) -> Output:
    attachments = view.read(ATTACHMENTS, key)
    answers = {address: uplink.mac for uplink in attachments.uplinks for address in uplink.addresses}
    answers |= dict.fromkeys(attachments.gateway_addresses, attachments.gateway_mac)
    return Output(
        ATTACHMENTS_FILE,
        tuple(
            entry("neighbor_table", (Exact("target_addr", address),), "answer_neighbor", Param("mac", mac))
            for address, mac in sorted(answers.items())
        ),
    )


NEIGHBORS: Rule[None, Output] = Rule("neighbors", _derive)
