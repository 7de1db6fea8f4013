"""The P4Info of the pipeline as docs/pipeline.md describes it, made without a compiler; sizes can be chosen."""

from __future__ import annotations

from collections.abc import Mapping

from controlplane.pipeline import Pipeline
from p4base.lookup import P4InfoIndex
from p4base.messages import p4i, p4r

MATCH = {
    "E": p4i.MatchField.EXACT,
    "L": p4i.MatchField.LPM,
    "T": p4i.MatchField.TERNARY,
    "R": p4i.MatchField.RANGE,
}

ACTIONS = {
    "set_pod_port": {"mac": 48},
    "set_node_port": {"mac": 48},
    "set_uplink_port": {"mac": 48},
    "answer_neighbor": {"mac": 48},
    "admit_source_pod": {"mac": 48, "policy_id": 16, "ingress_policy_id": 16},
    "refuse_source": {},
    "endpoint_is_live": {},
    "set_service": {
        "internal_set_id": 24,
        "external_set_id": 24,
        "masquerade": 3,
        "source_ranges_id": 24,
        "affinity_id": 24,
        "affinity_seconds": 17,
    },
    "reject_service": {},
    "drop_service": {},
    "allow_source": {},
    "set_pod_source": {},
    "set_node_source": {},
    "endpoint_is_usable": {},
    "set_masquerade_address": {"addr": 128},
    "reject_address": {},
    "drop_address": {},
    "select_endpoint": {"addr": 128, "port": 16, "endpoint_id": 32},
    "set_destination_pod": {"port": 9, "src_mac": 48, "dst_mac": 48, "policy_id": 16, "egress_policy_id": 16},
    "set_source_identity": {"identity": 24},
    "set_destination_identity": {"identity": 24},
    "allow_egress": {},
    "deny_egress": {},
    "allow_ingress": {},
    "deny_ingress": {},
    "forward": {"port": 9, "src_mac": 48, "dst_mac": 48},
    "use_next_hops": {"next_hops_id": 16},
    "use_tunnel": {"remote_addr": 128},
    "set_vxlan": {"local_addr": 128, "vni": 24, "mac": 48, "next_hops_id": 16},
    "set_geneve": {"local_addr": 128, "vni": 24, "mac": 48, "next_hops_id": 16},
    "end_tunnel": {"mac": 48},
    "admit_tunnel": {},
    "set_next_hop": {"port": 9, "src_mac": 48, "dst_mac": 48},
    "set_mtu": {"mtu": 16},
    "set_error_source": {"addr": 128},
}

POLICY_KEY = [("policy_id", "E", 16), ("identity", "T", 24), ("protocol", "T", 8), ("l4_dport", "R", 16)]
FRONTEND_KEY = [("dst_addr", "E", 128), ("protocol", "E", 8), ("l4_dport", "E", 16)]

TABLES: dict[str, tuple[list[tuple[str, str, int]], list[str]]] = {
    "port_table": ([("ingress_port", "E", 9)], ["set_pod_port", "set_node_port", "set_uplink_port"]),
    "neighbor_table": ([("target_addr", "E", 128)], ["answer_neighbor"]),
    "source_pod_table": ([("ingress_port", "E", 9), ("src_addr", "E", 128)], ["admit_source_pod"]),
    "uplink_source_table": ([("src_addr", "E", 128)], ["refuse_source"]),
    "live_endpoint_table": ([("endpoint_id", "E", 32)], ["endpoint_is_live"]),
    "service_frontend_table": (FRONTEND_KEY, ["set_service", "reject_service", "drop_service"]),
    "service_address_table": ([("dst_addr", "L", 128)], ["reject_address", "drop_address"]),
    "service_source_range_table": ([("source_ranges_id", "E", 24), ("src_addr", "L", 128)], ["allow_source"]),
    "source_class_table": ([("src_addr", "L", 128)], ["set_pod_source", "set_node_source"]),
    "affinity_endpoint_table": ([("set_id", "E", 24), ("endpoint_id", "E", 32)], ["endpoint_is_usable"]),
    "masquerade_table": ([("is_ipv6", "E", 1)], ["set_masquerade_address"]),
    "service_endpoint_table": ([("set_id", "E", 24)], ["select_endpoint"]),
    "destination_pod_table": ([("dst_addr", "E", 128)], ["set_destination_pod"]),
    "source_identity_table": ([("src_addr", "L", 128)], ["set_source_identity"]),
    "destination_identity_table": ([("dst_addr", "L", 128)], ["set_destination_identity"]),
    "egress_policy_table": (POLICY_KEY, ["allow_egress", "deny_egress"]),
    "ingress_policy_table": (POLICY_KEY, ["allow_ingress", "deny_ingress"]),
    "route_table": ([("dst_addr", "L", 128)], ["forward", "use_next_hops", "use_tunnel"]),
    "tunnel_table": ([("remote_addr", "E", 128)], ["set_vxlan", "set_geneve"]),
    "tunnel_end_table": ([("dst_addr", "E", 128)], ["end_tunnel"]),
    "tunnel_source_table": ([("src_addr", "E", 128), ("is_geneve", "E", 1), ("vni", "E", 24)], ["admit_tunnel"]),
    "next_hop_table": ([("next_hops_id", "E", 16)], ["set_next_hop"]),
    "mtu_table": ([("egress_port", "E", 9)], ["set_mtu"]),
    "error_source_table": ([("is_ipv6", "E", 1)], ["set_error_source"]),
}

SELECTOR_ID = 285212673
SELECTORS = {
    "service_endpoint_table": ("endpoint_selector", SELECTOR_ID),
    "next_hop_table": ("next_hop_selector", SELECTOR_ID + 1),
}


def make_p4info(sizes: Mapping[str, int] | None = None) -> p4i.P4Info:
    """The P4Info; `sizes` replaces the default of 1,000,000 for the tables (and the selector) that it names."""
    sizes = sizes or {}
    info = p4i.P4Info()
    ids: dict[str, int] = {}
    for number, (name, params) in enumerate(ACTIONS.items(), 1):
        action = info.actions.add()
        action.preamble.id = ids[name] = (1 << 24) + number
        action.preamble.name = f"node_ingress.{name}"
        action.preamble.alias = name
        for index, (param, width) in enumerate(params.items(), 1):
            added = action.params.add(id=index, name=param, bitwidth=width)
            if param.endswith("al_set_id"):
                added.annotations.append("@refers_to(service_endpoint_table , set_id)")
    for number, (name, (key, actions)) in enumerate(TABLES.items(), 1):
        table = info.tables.add(size=sizes.get(name, 1_000_000))
        table.preamble.id = (2 << 24) + number
        table.preamble.name = f"node_ingress.{name}"
        table.preamble.alias = name
        for index, (field, kind, width) in enumerate(key, 1):
            table.match_fields.add(id=index, name=field, bitwidth=width, match_type=MATCH[kind])
        for action_name in actions:
            table.action_refs.add(id=ids[action_name])
        if name in SELECTORS:
            selector, selector_id = SELECTORS[name]
            table.implementation_id = selector_id
            profile = info.action_profiles.add(
                with_selector=True,
                size=sizes.get(selector, 1_000_000),
                max_group_size=sizes.get("max_group_size", 0),
            )
            profile.preamble.id = selector_id
            profile.preamble.name = f"node_ingress.{selector}"
            profile.preamble.alias = selector
            profile.table_ids.append(table.preamble.id)
    return info


def make_pipeline(sizes: Mapping[str, int] | None = None, cookie: int = 7) -> Pipeline:
    config = p4r.ForwardingPipelineConfig(p4info=make_p4info(sizes), p4_device_config=b"{}")
    config.cookie.cookie = cookie
    return Pipeline(P4InfoIndex(config.p4info), config)
