// One node's pipeline on v1model. Compiled with the folder of the generated sizes.p4 and p4src/ as include paths.

#include <core.p4>
#include <v1model.p4>

#include "sizes.p4"
#include "headers.p4"
#include "drop_reasons.p4"
#include "metadata.p4"
#include "hash.p4"
#include "parser.p4"
#include "stages/ports.p4"
#include "stages/packet_io.p4"
#include "stages/neighbor.p4"
#include "stages/admission.p4"
#include "stages/unanswered.p4"
#include "stages/connections.p4"
#include "stages/revalidation.p4"
#include "stages/fragments.p4"
#include "stages/icmp_errors.p4"
#include "stages/service_lb.p4"
#include "stages/affinity.p4"
#include "stages/masquerade.p4"
#include "stages/sctp.p4"
#include "stages/nat.p4"
#include "stages/route.p4"
#include "stages/policy.p4"
#include "stages/tunnel.p4"
#include "stages/refuse.p4"
#include "stages/report_error.p4"
#include "checksums.p4"
#include "deparser.p4"

control node_ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    counter(DROP_REASONS, CounterType.packets_and_bytes) drop_counter;

    packet_out_stage()       send_packet_out;
    arrive_by_tunnel()       tunnel_arrival;
    ports()                  port_stage;
    neighbor()               neighbor_stage;
    check_packet()           packet_check;
    check_source()           source_check;
    leave_tunnel()           tunnel_end;
    check_ttl()              ttl_check;
    choose_hash_key()        hash_key;
    read_signal()            signal;
    find_fragment()          fragment_lookup;
    relate_error()           error_relation;
    find_connection()        connection_lookup;
    check_follower()         follower_check;
    check_generation()       generation_check;
    check_opening()          opening_check;
    find_service()           service_lookup;
    find_affinity()          affinity_lookup;
    select_endpoint_of_set() endpoint_selection;
    find_next_hop()          route_stage;
    policy()                 policy_stage;
    settle_outdated()        outdated_settling;
    check_length()           length_check;
    masquerade()             source_masquerade;
    count_opening()          opening_count;
    measure_translation()    translation_difference;
    insert_connection()      connection_insert;
    keep_affinity()          affinity_keeping;
    count_answer()           answer_count;
    follow_connection()      connection_follow;
    rewrite_packet()         packet_translation;
    rewrite_error()          error_translation;
    forward_packet()         forwarding;
    keep_fragment()          fragment_keeping;
    refuse()                 refusal;
    report_error()           error_report;
    enter_tunnel()           tunnel_entry;

    apply {
        if (hdr.packet_out.isValid()) {
            send_packet_out.apply(hdr, standard_metadata);
        } else {
            if (meta.is_decapsulated == 1) {
                tunnel_arrival.apply(hdr, meta);
            } else {
                meta.ingress_port = standard_metadata.ingress_port;
                port_stage.apply(hdr, meta, standard_metadata);
            }

            if (meta.is_trapped == 0 && meta.drop_reason == drop_reason_t.NONE) {
                if (hdr.arp.isValid() || (hdr.ipv6.isValid() && hdr.icmp.isValid()
                    && hdr.icmp.type >= ICMPV6_ROUTER_SOLICITATION && hdr.icmp.type <= ICMPV6_REDIRECT)) {
                    neighbor_stage.apply(hdr, meta, standard_metadata);
                } else {
                    packet_check.apply(hdr, meta, standard_metadata);
                    if (meta.drop_reason == drop_reason_t.NONE) {
                        source_check.apply(hdr, meta, standard_metadata);
                    }
                    if ((hdr.vxlan.isValid() || hdr.geneve.isValid()) && meta.port_kind == port_kind_t.UPLINK
                        && meta.is_decapsulated == 0 && meta.drop_reason == drop_reason_t.NONE) {
                        tunnel_end.apply(hdr, meta, standard_metadata);
                    }
                    if (meta.drop_reason == drop_reason_t.NONE && meta.is_ended == 0) {
                        ttl_check.apply(hdr, meta);
                    }

                    if (meta.drop_reason == drop_reason_t.NONE && meta.is_ended == 0) {
                        if (meta.is_tracked == 1 || meta.is_error == 1) {
                            hash_key.apply(meta);
                        }
                        if (meta.is_fragment == 1 && meta.is_tracked == 1) {
                            fragment_lookup.apply(hdr, meta, standard_metadata);
                        }
                        if (meta.is_error == 1) {
                            error_relation.apply(meta);
                        }
                    }
                    if (meta.drop_reason == drop_reason_t.NONE && meta.is_ended == 0) {
                        meta.translated = meta.flow;
                        if (meta.is_tracked == 1 || meta.is_error == 1) {
                            signal.apply(hdr, meta);
                            connection_lookup.apply(hdr, meta, standard_metadata);
                            generation_check.apply(meta);
                        }
                        if (meta.is_passive == 1) {
                            follower_check.apply(meta);
                        } else if (meta.connection.is_hit == 0 && meta.drop_reason == drop_reason_t.NONE) {
                            opening_check.apply(hdr, meta);
                            if (meta.drop_reason == drop_reason_t.NONE) {
                                service_lookup.apply(meta);
                            }
                            if (meta.service.is_found == 1 && meta.drop_reason == drop_reason_t.NONE) {
                                if (meta.service.affinity_seconds != 0) {
                                    affinity_lookup.apply(meta, standard_metadata);
                                }
                                endpoint_selection.apply(meta);
                            }
                        }
                    }

                    if (meta.drop_reason == drop_reason_t.NONE && meta.is_ended == 0) {
                        route_stage.apply(meta);
                        if (meta.drop_reason == drop_reason_t.NONE && meta.is_passive == 0
                            && (meta.connection.is_hit == 0 || meta.connection.is_outdated == 1)) {
                            policy_stage.apply(meta);
                            if (meta.connection.is_outdated == 1) {
                                outdated_settling.apply(meta);
                            }
                        }
                        if (meta.drop_reason == drop_reason_t.NONE) {
                            length_check.apply(hdr, meta);
                        }
                        if (meta.drop_reason == drop_reason_t.NONE && meta.is_passive == 0) {
                            if (meta.connection.is_hit == 1) {
                                if (meta.connection.is_reply == 1 && (meta.connection.tag[63:60] == STATE_OPENED
                                    || meta.connection.tag[63:60] == STATE_UNREPLIED
                                    || meta.connection.tag[63:60] == STATE_ECHO)) {
                                    answer_count.apply(meta);
                                }
                                connection_follow.apply(hdr, meta);
                            } else {
                                if (meta.is_tracked == 1 && meta.port_kind == port_kind_t.POD
                                    && meta.connection.is_retry == 0) {
                                    opening_count.apply(meta, standard_metadata);
                                }
                                if (meta.connection.is_masqueraded == 1 && meta.drop_reason == drop_reason_t.NONE) {
                                    source_masquerade.apply(hdr, meta);
                                }
                                if (meta.is_tracked == 1 && meta.drop_reason == drop_reason_t.NONE) {
                                    if (meta.connection.is_translated == 1) {
                                        translation_difference.apply(meta);
                                    }
                                    connection_insert.apply(hdr, meta);
                                }
                                if (meta.service.affinity_seconds != 0 && meta.drop_reason == drop_reason_t.NONE) {
                                    affinity_keeping.apply(meta);
                                }
                            }
                        }

                        if (meta.drop_reason == drop_reason_t.NONE) {
                            if (meta.connection.is_translated == 1) {
                                if (meta.is_error == 1) {
                                    error_translation.apply(hdr, meta);
                                } else {
                                    packet_translation.apply(hdr, meta);
                                }
                            }
                            forwarding.apply(hdr, meta, standard_metadata);
                            if (meta.is_fragment == 1 && meta.is_tracked == 1 && meta.is_passive == 0
                                && meta.fragment.has_more == 1 && meta.drop_reason == drop_reason_t.NONE) {
                                fragment_keeping.apply(meta);
                            }
                        }
                    }

                    if (meta.is_refused == 1 && hdr.tcp.isValid()) {
                        refusal.apply(hdr, meta);
                    } else if (meta.is_refused == 1 || meta.drop_reason == drop_reason_t.TTL_EXCEEDED
                               || meta.drop_reason == drop_reason_t.TOO_BIG) {
                        error_report.apply(hdr, meta, standard_metadata);
                    }
                    if ((meta.tunnel.remote_addr != 0 && meta.drop_reason == drop_reason_t.NONE)
                        || (meta.is_decapsulated == 1 && meta.is_answered == 1)) {
                        tunnel_entry.apply(hdr, meta);
                    }
                }
            }

            if (meta.drop_reason != drop_reason_t.NONE) {
                drop_counter.count((bit<32>)(bit<8>)meta.drop_reason);
            }
            if (meta.is_answered == 1) {
                standard_metadata.egress_spec = meta.ingress_port;
                if (meta.answer_frame_len != 0) {
                    truncate(meta.answer_frame_len);
                }
            } else if (meta.drop_reason != drop_reason_t.NONE) {
                mark_to_drop(standard_metadata);
            }
        }
    }
}

control node_egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    packet_in_stage() send_packet_in;

    apply {
        if (meta.is_ended == 1) {
            recirculate_preserving_field_list(2);
        } else {
            send_packet_in.apply(hdr, meta, standard_metadata);
        }
    }
}

V1Switch(node_parser(), node_verify_checksum(), node_ingress(), node_egress(), node_compute_checksum(),
         node_deparser()) main;
