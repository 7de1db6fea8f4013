"""What Kubernetes requires of this controller, row by row; which tests hold it to that; and what they must notice.

`test_contract` checks that every test is there, and that with each mutant, a line of the derivation or of the writing made wrong in the way
that the row is about, one of the row's tests fails. What packets meet in the pipeline is `ptf_tests`' to see.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """`old`, which is in the file once, made `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Row:
    """A requirement. `tests` are `file.py::name`, from tests/controlplane."""

    section: str
    name: str
    tests: tuple[str, ...]
    mutants: tuple[Mutant, ...] = ()


_SERVICES, _POLICY, _SCALE, _P4RUNTIME = "Services", "NetworkPolicy", "Scale", "P4Runtime"
_DESIRED = "controlplane/desired"


def _service(name: str, tests: str, *mutants: tuple[str, str, str]) -> Row:
    found = tuple(f"test_contract_services.py::{test}" for test in tests.split())
    return Row(_SERVICES, name, found, tuple(Mutant(f"{_DESIRED}/{file}.py", old, new) for file, old, new in mutants))


def _policy(name: str, tests: str, *mutants: tuple[str, str, str]) -> Row:
    found = tuple(test if ".py" in test else f"test_contract_policy.py::{test}" for test in tests.split())
    return Row(_POLICY, name, found, tuple(Mutant(f"{_DESIRED}/{file}.py", old, new) for file, old, new in mutants))


def _row(section: str, name: str, tests: str, *mutants: tuple[str, str, str]) -> Row:
    return Row(section, name, tuple(tests.split()), tuple(Mutant(f"{file}.py", old, new) for file, old, new in mutants))


ROWS = (
    _service(
        "ClusterIP: to a usable endpoint and its targetPort; protocols of one port number are separate",
        "test_cluster_ip",
        ("endpoints", '(port.protocol or "TCP") == protocol and ', ""),
        ("services", 'Param("port", backend.port), Param("endpoint_id"', 'Param("port", 80), Param("endpoint_id"'),
    ),
    _service(
        "a live ClusterIP at a wrong port or protocol rejects",
        "test_live_cluster_ip_wrong_port",
        (
            "services",
            '_service_address(host_prefix(address), "reject_address")',
            '_service_address(host_prefix(address), "drop_address")',
        ),
    ),
    _service(
        "an address in a Service CIDR that no Service holds is dropped; there can be several CIDRs",
        "test_service_range_address_that_nobody_holds",
        (
            "services",
            "for prefix in ranges for part in prefix.split()),",
            "for prefix in ranges[1:] for part in prefix.split()),",
        ),
        ("services", "for text in (obj.spec.cidrs or ()) if", "for text in () if"),
    ),
    _service(
        "headless and ExternalName have no entries, even if an ExternalName carries a clusterIP",
        "test_headless_and_external_name",
        ("frontends", 'if "None" in given:', 'if "none" in given:'),
        ("services", 'if service.spec.type == "ExternalName":', 'if service.spec.type == "External":'),
    ),
    _service(
        "NodePort: the node's own addresses, primary by default, configurable ranges; others pass untouched",
        "test_node_port",
        ("frontends", "Frontend(address, port.node_port, True)", "Frontend(address, port.number, True)"),
        ("frontends", "if (address := node.primary(family)) is not None]", "for address in node.addresses]"),
        ("frontends", "if any(prefix.contains(address) for prefix in ranges)]", "]"),
    ),
    _service(
        "LoadBalancer: ipMode VIP or none has an entry, Proxy has none; other ports are never touched",
        "test_load_balancer",
        ("frontends", '_PROXY = "Proxy"', '_PROXY = "VIP"'),
        (
            "services",
            "for address in addresses.cluster\n    )",
            "for address in (*addresses.cluster, *addresses.load_balancer)\n    )",
        ),
    ),
    _service(
        "loadBalancerSourceRanges: outside every range dropped, before DNAT; at load-balancer addresses only",
        "test_load_balancer_source_ranges",
        ("services", "if not frontend.is_load_balancer or traits", "if not frontend.is_external or traits"),
        ("services", "if not sets.cluster and ranges_id is None:", "if not sets.cluster:"),
    ),
    Row(
        _SERVICES,
        "healthCheckNodePort: 200 with a local ready endpoint, 503 otherwise; externalTrafficPolicy Local only",
        (
            "test_health_checks.py::test_only_local_endpoints_that_are_ready_count",
            "test_health_checks.py::test_external_traffic_policy_cluster_has_none_and_a_service_that_goes_takes_its_own_along",
            "test_health_checks.py::test_the_answers_are_kube_proxys",
        ),
        (
            Mutant("controlplane/desired/health_checks.py", " and not endpoint.conditions.terminating", ""),
            Mutant(
                "controlplane/desired/health_checks.py", "if endpoint.node_name == node\n", "if endpoint.node_name\n"
            ),
            Mutant("controlplane/desired/health_checks.py", '!= "Local" or', '== "" or'),
        ),
    ),
    _service(
        "externalIPs are VIPs",
        "test_external_ips",
        ("frontends", "for address in addresses.external]", "for address in ()]"),
    ),
    _service(
        "sessionAffinity ClientIP: one key for all of the Service's addresses; 10800 s by default, at most 86400 s",
        "test_session_affinity",
        ("frontends", "DEFAULT_AFFINITY_SECONDS = 10800", "DEFAULT_AFFINITY_SECONDS = 3600"),
        ("frontends", "MAX_AFFINITY_SECONDS = 86400", "MAX_AFFINITY_SECONDS = 86401"),
        ("services", "            if traits.affinity_seconds:", "            if not traits.affinity_seconds:"),
    ),
    _service(
        "externalTrafficPolicy Local: outsiders local ones and their own address, none local: dropped; pods all, no SNAT; the node all, SNAT",
        "test_external_traffic_policy_local",
        ("services", "external = sets.local_id if sets.cluster else external", "external = sets.service_id"),
        (
            "services",
            "            masquerade = MASQUERADE_NODE\n",
            "            masquerade = MASQUERADE_NODE | MASQUERADE_POD\n",
        ),
        ("services", 'scope="local") if self.local else NO_SET', 'scope="local") if self.local else self.service_id'),
    ),
    _service(
        "externalTrafficPolicy Cluster: all endpoints, always masqueraded, pods included",
        "test_external_traffic_policy_cluster",
        (
            "services",
            "masquerade = MASQUERADE_EXTERNAL | MASQUERADE_POD | MASQUERADE_NODE\n        if traits.external_local",
            "masquerade = MASQUERADE_EXTERNAL | MASQUERADE_NODE\n        if traits.external_local",
        ),
    ),
    _service(
        "internalTrafficPolicy Local: of the ClusterIP only; none local: dropped",
        "test_internal_traffic_policy_local",
        ("services", "internal = external = sets.local_id", "internal = sets.local_id"),
        (
            "services",
            "        if traits.internal_local:\n            internal",
            "        if traits.external_local:\n            internal",
        ),
    ),
    _service(
        "no usable endpoint anywhere: every frontend rejects",
        "test_no_usable_endpoint",
        (
            "services",
            '"service_frontend_table", match, "reject_service"',
            '"service_frontend_table", match, "drop_service"',
        ),
    ),
    _service(
        "terminating endpoints: ready, else serving and terminating, decided separately for the cluster and this node",
        "test_terminating_endpoints",
        (
            "endpoints",
            "return [backend for backend in here if backend.ready] or _terminating(here)",
            "return [backend for backend in here if backend.ready]",
        ),
        ("endpoints", "if backend.serving and backend.terminating]", "if backend.terminating]"),
        (
            "endpoints",
            "return _hinted(ready, place) if ready else _terminating(found)",
            "return _hinted(ready, place) if ready else found",
        ),
    ),
    _service(
        "topology hints: by node, else by zone, else all, if all ready ones carry them and one is for here; local sets ignore them",
        "test_topology_hints",
        (
            "endpoints",
            "if all(backend.for_nodes for backend in ready):",
            "if any(backend.for_nodes for backend in ready):",
        ),
        ("endpoints", "if place.zone and all(", "if place.zone and any("),
        (
            "endpoints",
            "if place.zone in backend.for_zones]\n        if mine:\n            return mine",
            "if place.zone in backend.for_zones]\n        return mine",
        ),
        (
            "endpoints",
            "if place.node in backend.for_nodes]\n        if mine:\n            return mine",
            "if place.node in backend.for_nodes]\n        return mine",
        ),
    ),
    _service(
        "publishNotReadyAddresses is in the conditions already: only they are read",
        "test_publish_not_ready_addresses",
        (
            "endpoints",
            "ready = [backend for backend in found if backend.ready]\n    return _hinted",
            "ready = found\n    return _hinted",
        ),
    ),
    _service(
        "hairpin, and ClusterIP from the node or from outside: masqueraded (hairpin: ptf_tests, HairpinThroughEveryFrontend)",
        "test_cluster_ip_from_outside_and_from_the_node_is_masqueraded",
        (
            "services",
            "        masquerade = MASQUERADE_EXTERNAL | MASQUERADE_NODE\n",
            "        masquerade = MASQUERADE_NODE\n",
        ),
        ("services", "    if traits.masquerade_all:\n", "    if False:\n"),
        (
            "node",
            'entities += _source_class(host_prefix(address), "set_node_source")',
            'entities += _source_class(host_prefix(address), "set_pod_source")',
        ),
    ),
    _service(
        "stale UDP connections: liveness of the serving endpoints, at zero usable ones too; TCP and SCTP are left alone",
        "test_stale_udp_connections",
        ("services", "if port.protocol == Protocol.UDP:", "if port.protocol != Protocol.TCP:"),
        ("services", "        if backend.serving\n", "        if backend.ready\n"),
    ),
    _service("SCTP is a protocol like the others", "test_sctp", ("symbols", "    SCTP = 132", "    SCTP = 133")),
    _service(
        "dual stack: the families are independent",
        "test_dual_stack",
        (
            "services",
            "own = [item for item in frontends if is_ipv4(item.address) == (family == Family.IPV4)]",
            "own = frontends",
        ),
    ),
    _service(
        "service.kubernetes.io/service-proxy-name: ignored",
        "test_service_proxy_name",
        ("services", "return PROXY_NAME_LABEL not in (service.metadata.labels or {})", "return True"),
    ),
    Row(
        _SERVICES,
        "odd addresses: normalised or refused with the object's name; never a crash, the rest stays",
        (
            "test_contract_services.py::test_odd_addresses",
            "test_addresses.py::test_what_has_none_or_several_is_refused_and_quoted",
            "test_addresses.py::test_one_reading_is_taken",
        ),
        (
            Mutant("controlplane/desired/frontends.py", 'problems.append(f"{field}: {error}")', "pass"),
            Mutant(
                "controlplane/desired/endpoints.py",
                'problems.append(f"EndpointSlice {endpoint_slice.metadata.name}: {error}")\n                    continue',
                "raise",
            ),
        ),
    ),
    # -- NetworkPolicy
    _policy(
        "policies are additive allows: the union of all that select a pod",
        "test_policy.py::test_policies_add_up",
        (
            "policy_set",
            "for ref in view.read(POLICIES, subject.namespace):",
            "for ref in view.read(POLICIES, subject.namespace)[:1]:",
        ),
    ),
    _policy(
        "isolated per direction, only by a policy of that type; Ingress by default, Egress if it has egress rules",
        "test_policy.py::test_isolation_is_by_direction test_policy.py::test_default_types test_a_policy_of_one_type_does_not_isolate_in_the_other",
        ("policy", "types = {INGRESS, EGRESS} if policy.spec.egress else {INGRESS}", "types = {INGRESS, EGRESS}"),
        ("policy", "types = {INGRESS, EGRESS} if policy.spec.egress else {INGRESS}", "types = {INGRESS}"),
        ("policy", "egress if EGRESS in types else None", "egress"),
    ),
    _policy(
        "a connection needs the source's egress and the destination's ingress",
        "test_policy.py::test_both_sides_must_allow",
        ("pods", 'Param("policy_id", policies[EGRESS])', 'Param("policy_id", policies[INGRESS])'),
    ),
    _policy(
        "selectors: podSelector alone is the policy's namespace, namespaceSelector alone all its pods, both in one peer AND, two peers OR",
        "test_policy.py::test_peers",
        ("policy", "return PodPeer(namespace, Selector(), pods)", 'return PodPeer("", Selector(), pods)'),
        (
            "policy",
            'return PodPeer("", parse_selector(peer.namespace_selector), pods)',
            'return PodPeer("", parse_selector(peer.namespace_selector), Selector())',
        ),
        (
            "selectors",
            "            case _:\n                return self.key not in labels",
            "            case _:\n                return self.key in labels",
        ),
    ),
    _policy(
        "`{}` selects all; empty or absent peers or ports are any; an empty rule allows all; no rules deny",
        "test_an_empty_selector_selects_all_of_its_namespace_and_no_other test_no_rules_deny_and_an_empty_rule_allows_all",
        ("policy", "        if peers\n        else None,", "        if peers is not None\n        else None,"),
        (
            "policy",
            "for index, port in enumerate(ports)) if ports else None,",
            "for index, port in enumerate(ports)) if ports is not None else None,",
        ),
    ),
    _policy(
        "ipBlock and its exceptions: the hole is in its own peer alone; evaluated after DNAT (ptf_tests, PolicyLooksAtTheEndpoint)",
        "test_policy.py::test_ip_block_with_holes_and_another_rule_that_fills_one test_policy.py::test_ip_block_holds_pods_too"
        " test_policy.py::test_an_ip_block_of_one_family_says_nothing_of_the_other",
        (
            "selectors",
            "return self.block.covers(block) and not any(hole.covers(block) for hole in self.excepts)",
            "return self.block.covers(block)",
        ),
        ("identities", "view.read(BLOCK_OF, address))", "None)"),
        ("policy_set", "    if any(prefix.split() != (prefix,) for prefix in prefixes):", "    if False:"),
    ),
    _policy(
        "port omitted: all of the protocol; protocol omitted: TCP",
        "test_a_protocol_without_a_port_is_all_of_its_ports_and_no_protocol_is_tcp test_policy.py::test_ports",
        ("policy", 'name = port.protocol or "TCP"', 'name = port.protocol or "UDP"'),
        ("policy", "        return PolicyPort(protocol)\n", "        return PolicyPort(0)\n"),
    ),
    _policy(
        "a named port is resolved for each destination pod, its protocol must match, and it never widens to all",
        "test_a_named_port_is_the_destinations_and_of_its_protocol test_policy.py::test_named_ports_of_egress_are_each_destination_pods_own"
        " test_policy.py::test_ports",
        ("policy_set", "if name == port.name and port.protocol in (0, protocol)", "if name == port.name"),
        (
            "policy_set",
            "    if not ports:\n        return None",
            "    if not ports:\n        return PolicyRule(rule.peers, None)",
        ),
    ),
    _policy(
        "endPort: a number only, not below port",
        "test_an_end_port_that_makes_no_sense_fails_closed test_policy.py::test_ports",
        ("policy", "or not port.port <= end <= 65535", "or not end <= 65535"),
        (
            "policy",
            '            raise PolicyError(f"{place}: endPort with the named port {port.port!r}")',
            "            return PolicyPort(protocol)",
        ),
    ),
    _policy(
        "an SCTP rule admits no TCP; the pod is isolated all the same",
        "test_an_sctp_rule_isolates_and_admits_no_tcp",
        ("policy_set", 'match.append(Ternary("protocol", self.protocol))', "pass"),
    ),
    _policy(
        "a policy that changes: an atomic switch between complete sets; live connections go on (docs/pipeline.md)",
        "test_policy.py::test_pods_with_the_same_rules_share_a_policy_and_a_changed_rule_makes_another"
        " test_reconcile.py::test_a_policy_change_is_one_switch_of_the_pods_entry_between_complete_policies",
        (
            "policy_set",
            "policy_id = PolicyId(subject.direction, digest)",
            'policy_id = PolicyId(subject.direction, "one for all")',
        ),
    ),
    _policy(
        "a pod is never blocked from its own node (from itself: ptf_tests, OwnNodeAndSelfAreNeverBlocked)",
        "test_a_pods_own_node_is_never_blocked",
        ("routes", "        entities += identity_entries(host_prefix(address), IDENTITY_LOCAL_NODE)\n", ""),
        ("routes", "if ref.name == settings.node_name:", "if True:"),
    ),
    _policy(
        "hostNetwork pods count as the node's address",
        "test_host_network_pods_are_the_nodes_address test_policy.py::test_host_network_and_finished_pods_have_no_identity",
        ("facts", "pod.spec.host_network or ", ""),
        ("facts", '_FINISHED = ("Succeeded", "Failed")', '_FINISHED = ("Failed",)'),
    ),
    _policy(
        "ICMP: echo follows the isolation of the pod (related errors: ptf_tests)",
        "test_echo_follows_the_isolation_of_the_pod",
        (
            "policy_set",
            "        if self.protocol:\n            match.append",
            "        if True:\n            match.append",
        ),
    ),
    _policy(
        "a malformed or unsupported field: that policy fails closed for what it selects, is named, and nothing else changes",
        "test_policy.py::test_a_malformed_policy_closes_what_it_selects_and_nothing_else"
        " test_policy.py::test_a_malformed_policy_takes_nothing_from_what_others_allow test_fuzz.py::test_anything_anywhere",
        ("policy", "problem, ingress, egress = str(error), (), ()", "return None"),
        ("policy", "    if parsed is None or not parsed.problem:", "    if True:"),
    ),
    _policy(
        "ClusterNetworkPolicy: Admin, NetworkPolicy, Baseline; lower priority numbers first; Accept, Deny, Pass; at most 25 rules and peers",
        "test_cluster_policy.py",
        (
            "policy_set",
            "selecting.sort(key=lambda item: item[:2])",
            "selecting.sort(key=lambda item: item[:2], reverse=True)",
        ),
        ("policy_set", '"allow" if item.action is Action.ACCEPT else "deny"', '"allow"'),
    ),
    Row(
        _POLICY,
        "no moment in which an isolated pod is open, whatever happens to controllers, switch and writes",
        (
            "test_faults.py::test_what_let_others_into_another_pod_never_counts_for_the_guarded_one",
            "test_faults.py::test_an_isolated_pod_is_open_at_no_moment",
        ),
        (
            Mutant(
                "controlplane/p4rt/allocate.py",
                "while space.low + offset in taken:",
                "while taken.get(space.low + offset) is not None:",
            ),
            Mutant("controlplane/desired/pods.py", "policies[direction] = policy_set.id", "pass"),
        ),
    ),
    # -- scale
    _row(
        _SCALE,
        "1,000 endpoints of a Service, in slices of 100; 250,000 endpoints in all are bench/control_plane.py's",
        "test_scale.py::test_a_thousand_endpoints_of_one_service test_scale.py::test_the_cost_of_a_change_is_that_of_its_service",
        (
            "controlplane/desired/endpoints",
            "for endpoint in endpoint_slice.endpoints or ():",
            "for endpoint in (endpoint_slice.endpoints or ())[:50]:",
        ),
    ),
    _row(
        _SCALE,
        "110 pods of this node among 150,000: only what is local, and identities of the others, cost anything",
        "test_scale.py::test_a_pod_elsewhere_costs_its_identity test_derive.py::test_one_pod_does_not_touch_the_others",
        ("controlplane/desired/pods", "or pod.spec.node_name != view.read(SETTINGS, None).node_name", ""),
    ),
    _row(
        _SCALE,
        "churn leaves nothing behind; one copy of what stays",
        "test_reconcile.py::test_churn_leaves_nothing_behind test_derive.py::test_what_stays_the_same_is_there_once",
        ("controlplane/p4rt/synchronize", "            self.allocator.sweep()", "            pass"),
    ),
    # -- P4Runtime
    _row(
        _P4RUNTIME,
        "never two updates of one key in a batch; members, groups, entries, in batches of their own; deletions the other way round",
        "test_p4rt.py::test_insertions_go_up_deletions_come_last_and_down test_reconcile.py::test_make_before_break_whatever_the_server_does_inside_a_batch"
        " test_p4rt.py::test_batches_are_no_larger_than_asked",
        ("controlplane/p4rt/sequence", '{b"M": 0, b"G": 1}.get(kind, 2)', "0"),
        ("controlplane/p4rt/sequence", "sorted(deletions, reverse=True)", "sorted(deletions)"),
    ),
    _row(
        _P4RUNTIME,
        "reconnect is read back, difference, write; a restart with nothing changed writes nothing",
        "test_reconcile.py::test_everything_is_written_and_a_restart_writes_nothing test_reconcile.py::test_a_drifted_switch_is_repaired_and_strangers_are_removed"
        " test_recover.py::test_a_restart_writes_the_difference_and_nothing_changes_its_meaning"
        " test_recover.py::test_a_number_that_is_still_in_the_switch_is_not_given_to_another",
        (
            "controlplane/p4rt/synchronize",
            "updates += [Update(UpdateType.DELETE, found, None) for found in unwanted.values()]",
            "pass",
        ),
        ("controlplane/p4rt/recover", "    yield from _adopt_members(wanted, installed, others, codec, before)\n", ""),
        ("controlplane/p4rt/recover", "    yield from _reserve(others, codec)\n", ""),
    ),
    _row(
        _P4RUNTIME,
        '"already exists" never aborts a synchronization',
        "test_reconcile.py::test_answers_that_contradict_the_read_back_are_not_errors"
        " test_reconcile.py::test_what_is_there_already_is_made_right_and_no_error test_reconcile.py::test_a_refused_update_is_reported_and_tried_again",
        ("controlplane/p4rt/synchronize", 'code == "NOT_FOUND" and not final', "False"),
        ("controlplane/p4rt/synchronize", 'code == "ALREADY_EXISTS" and not final and', "False and"),
    ),
    _row(
        _P4RUNTIME,
        "election: a duplicate id is refused, the primary's loss stops the writes at once, another takes over",
        "test_reconcile.py::test_a_lost_primacy_stops_the_writes_at_once test_reconcile.py::test_one_of_two_controllers_writes_and_the_other_takes_over"
        " test_session.py::test_a_duplicate_election_id_is_refused_in_words test_session.py::test_a_backup_writes_nothing_and_pushes_nothing",
        (
            "controlplane/p4rt/session",
            "        if not self.is_primary:\n            raise NotPrimaryError",
            "        if False:\n            raise NotPrimaryError",
        ),
    ),
    _row(
        _P4RUNTIME,
        "the canonical byte string: zero is one zero byte, leading zeros are read, don't-care is left out; read-write symmetry",
        "test_p4rt.py::test_decoding_undoes_encoding_and_the_canonical_form_is_stable test_p4rt.py::test_what_a_server_may_add_is_taken_away test_p4rt.py::test_what_matches_everything_is_left_out",
        ("controlplane/p4rt/codec", '    return data.lstrip(b"\\0") or b"\\0"', "    return data"),
        (
            "controlplane/p4rt/codec",
            "                    if not length:\n                        continue",
            "                    if False:\n                        continue",
        ),
    ),
)
