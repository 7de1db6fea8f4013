// Headers to bytes: what is valid, in the order of the wire.

#ifndef KULVERT_DEPARSER_P4
#define KULVERT_DEPARSER_P4

control node_deparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.packet_in);
        packet.emit(hdr.tunnel_ethernet);
        packet.emit(hdr.tunnel_ipv4);
        packet.emit(hdr.tunnel_ipv6);
        packet.emit(hdr.tunnel_udp);
        packet.emit(hdr.tunnel_vxlan);
        packet.emit(hdr.tunnel_geneve);
        packet.emit(hdr.ethernet);
        packet.emit(hdr.arp);
        packet.emit(hdr.answer_ipv4);
        packet.emit(hdr.answer_ipv6);
        packet.emit(hdr.answer_icmp);
        packet.emit(hdr.answer_error);
        packet.emit(hdr.ipv4);
        packet.emit(hdr.ipv4_options);
        packet.emit(hdr.ipv6);
        packet.emit(hdr.ipv6_fragment);
        packet.emit(hdr.tcp);
        packet.emit(hdr.udp);
        packet.emit(hdr.vxlan);
        packet.emit(hdr.geneve);
        packet.emit(hdr.geneve_options);
        packet.emit(hdr.sctp);
        packet.emit(hdr.sctp_chunk);
        packet.emit(hdr.icmp);
        packet.emit(hdr.icmp_echo);
        packet.emit(hdr.icmp_error);
        packet.emit(hdr.quoted_ipv4);
        packet.emit(hdr.quoted_ipv4_options);
        packet.emit(hdr.quoted_ipv6);
        packet.emit(hdr.quoted_ipv6_fragment);
        packet.emit(hdr.quoted_transport);
        packet.emit(hdr.quoted_tcp_rest);
        packet.emit(hdr.quoted_udp);
        packet.emit(hdr.quoted_icmp);
        packet.emit(hdr.quoted_icmp_echo);
        packet.emit(hdr.nd_neighbor);
        packet.emit(hdr.nd_link_layer_option);
    }
}

#endif
