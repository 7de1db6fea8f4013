// The headers on the wire, in the order of the layers, and the two headers spoken with the controller.

#ifndef KULVERT_HEADERS_P4
#define KULVERT_HEADERS_P4

typedef bit<9>   port_id_t;
typedef bit<48>  mac_addr_t;
typedef bit<128> ip_addr_t;     // an IPv4 address is held as ::ffff:a.b.c.d

const bit<16> ETHER_TYPE_IPV4        = 0x0800;
const bit<16> ETHER_TYPE_ARP         = 0x0806;
const bit<16> ETHER_TYPE_IPV6        = 0x86dd;
const bit<16> ETHER_TYPE_TRANSPARENT = 0x6558;      // an Ethernet frame, within Geneve

const bit<8> PROTOCOL_HOP_BY_HOP          = 0;
const bit<8> PROTOCOL_ICMP                = 1;
const bit<8> PROTOCOL_TCP                 = 6;
const bit<8> PROTOCOL_UDP                 = 17;
const bit<8> PROTOCOL_ROUTING             = 43;
const bit<8> PROTOCOL_FRAGMENT            = 44;
const bit<8> PROTOCOL_ICMPV6              = 58;
const bit<8> PROTOCOL_DESTINATION_OPTIONS = 60;
const bit<8> PROTOCOL_SCTP                = 132;

const bit<8> ICMP_ECHO_REPLY               = 0;
const bit<8> ICMP_UNREACHABLE              = 3;
const bit<8> ICMP_REDIRECT                 = 5;
const bit<8> ICMP_ECHO_REQUEST             = 8;
const bit<8> ICMP_TIME_EXCEEDED            = 11;
const bit<8> ICMP_PARAMETER_PROBLEM        = 12;
const bit<8> ICMPV6_UNREACHABLE            = 1;
const bit<8> ICMPV6_TOO_BIG                = 2;
const bit<8> ICMPV6_TIME_EXCEEDED          = 3;
const bit<8> ICMPV6_PARAMETER_PROBLEM      = 4;
const bit<8> ICMPV6_ECHO_REQUEST           = 128;
const bit<8> ICMPV6_ECHO_REPLY             = 129;
const bit<8> ICMPV6_ROUTER_SOLICITATION    = 133;
const bit<8> ICMPV6_NEIGHBOR_SOLICITATION  = 135;
const bit<8> ICMPV6_NEIGHBOR_ADVERTISEMENT = 136;
const bit<8> ICMPV6_REDIRECT               = 137;

const bit<8> ICMP_CODE_PORT_UNREACHABLE     = 3;
const bit<8> ICMP_CODE_FRAGMENTATION_NEEDED = 4;
const bit<8> ICMPV6_CODE_PORT_UNREACHABLE   = 4;

const bit<16> ARP_HARDWARE_ETHERNET = 1;
const bit<16> ARP_REQUEST           = 1;
const bit<16> ARP_REPLY             = 2;

const bit<8> TCP_FIN = 0x01;
const bit<8> TCP_SYN = 0x02;
const bit<8> TCP_RST = 0x04;
const bit<8> TCP_ACK = 0x10;

// RFC 9260, section 3.2: the chunks that open and end an association.
const bit<8> SCTP_INIT              = 1;
const bit<8> SCTP_INIT_ACK          = 2;
const bit<8> SCTP_ABORT             = 6;
const bit<8> SCTP_SHUTDOWN          = 7;
const bit<8> SCTP_SHUTDOWN_ACK      = 8;
const bit<8> SCTP_SHUTDOWN_COMPLETE = 14;

// To the controller. The port is the one the packet came in on; `reason` is the trap entry's.
@controller_header("packet_in")
header packet_in_t {
    bit<16> ingress_port;
    bit<16> reason;
}

// From the controller: the packet leaves on `egress_port` as it is.
@controller_header("packet_out")
header packet_out_t {
    bit<16> egress_port;
}

header ethernet_t {
    mac_addr_t dst_mac;
    mac_addr_t src_mac;
    bit<16>    ether_type;
}

// RFC 826, for IPv4 over Ethernet.
header arp_t {
    bit<16>    hardware_type;
    bit<16>    protocol_type;
    bit<8>     hardware_length;
    bit<8>     protocol_length;
    bit<16>    operation;
    mac_addr_t sender_mac;
    bit<32>    sender_addr;
    mac_addr_t target_mac;
    bit<32>    target_addr;
}

header ipv4_t {
    bit<4>  version;
    bit<4>  ihl;
    bit<8>  traffic_class;
    bit<16> total_len;
    bit<16> identification;
    bit<3>  flags;
    bit<13> fragment_offset;
    bit<8>  ttl;
    bit<8>  protocol;
    bit<16> checksum;
    bit<32> src_addr;
    bit<32> dst_addr;
}

// Valid only when ihl > 5; the options travel untouched.
header ipv4_options_t {
    varbit<320> options;
}

header ipv6_t {
    bit<4>    version;
    bit<8>    traffic_class;
    bit<20>   flow_label;
    bit<16>   payload_len;
    bit<8>    next_header;
    bit<8>    hop_limit;
    ip_addr_t src_addr;
    ip_addr_t dst_addr;
}

// RFC 8200, section 4.5. The offset counts eights of bytes.
header ipv6_fragment_t {
    bit<8>  next_header;
    bit<8>  reserved;
    bit<13> offset;
    bit<2>  reserved_bits;
    bit<1>  has_more;
    bit<32> identification;
}

header tcp_t {
    bit<16> sport;
    bit<16> dport;
    bit<32> sequence;
    bit<32> acknowledgement;
    bit<4>  data_offset;
    bit<4>  reserved;
    bit<8>  flags;
    bit<16> window;
    bit<16> checksum;
    bit<16> urgent;
}

header udp_t {
    bit<16> sport;
    bit<16> dport;
    bit<16> len;
    bit<16> checksum;
}

// RFC 7348, section 5.
header vxlan_t {
    bit<8>  flags;
    bit<24> reserved;
    bit<24> vni;
    bit<8>  reserved_end;
}

const bit<8> VXLAN_HAS_VNI = 0x08;

// RFC 8926, section 3.4. The length of the options counts fours of bytes.
header geneve_t {
    bit<2>  version;
    bit<6>  options_len;
    bit<1>  is_control;
    bit<1>  is_critical;
    bit<6>  reserved;
    bit<16> protocol;
    bit<24> vni;
    bit<8>  reserved_end;
}

header geneve_options_t {
    varbit<2016> options;
}

// RFC 9260, section 3.1. The checksum is a CRC32c over header and chunks, with its lowest byte first.
header sctp_t {
    bit<16> sport;
    bit<16> dport;
    bit<32> verification_tag;
    bit<32> checksum;
}

// The start of the first chunk; there is always one.
header sctp_chunk_t {
    bit<8>  type;
    bit<8>  flags;
    bit<16> length;
}

// The common start of every ICMP and ICMPv6 message.
header icmp_t {
    bit<8>  type;
    bit<8>  code;
    bit<16> checksum;
}

header icmp_echo_t {
    bit<16> identifier;
    bit<16> sequence;
}

// The word that an ICMP or ICMPv6 error carries before the packet that it is about: unused, an MTU or a pointer.
header icmp_error_t {
    bit<32> detail;
}

// What an ICMP error quotes of TCP and SCTP at the least: the ports and the sequence number, or the verification tag.
header quoted_transport_t {
    bit<16> sport;
    bit<16> dport;
    bit<32> number;
}

// The rest of a quoted TCP header as far as its checksum, if it is there.
header quoted_tcp_rest_t {
    bit<64> acknowledgement_to_window;
    bit<16> checksum;
}

// RFC 4861, sections 4.3 and 4.4: what solicitation and advertisement share after the ICMPv6 start.
header nd_neighbor_t {
    bit<32>   flags;
    ip_addr_t target_addr;
}

// RFC 4861, section 4.6.1, for Ethernet: one unit of eight bytes.
header nd_link_layer_option_t {
    bit<8>     type;
    bit<8>     length;
    mac_addr_t mac;
}

struct headers_t {
    packet_in_t            packet_in;
    packet_out_t           packet_out;
    // Around a frame that goes to another node; made, never parsed.
    ethernet_t             tunnel_ethernet;
    ipv4_t                 tunnel_ipv4;
    ipv6_t                 tunnel_ipv6;
    udp_t                  tunnel_udp;
    vxlan_t                tunnel_vxlan;
    geneve_t               tunnel_geneve;
    ethernet_t             ethernet;
    arp_t                  arp;
    // The outer headers of an ICMP error that the pipeline makes, and that carries the packet it is about; never parsed.
    ipv4_t                 answer_ipv4;
    ipv6_t                 answer_ipv6;
    icmp_t                 answer_icmp;
    icmp_error_t           answer_error;
    ipv4_t                 ipv4;
    ipv4_options_t         ipv4_options;
    ipv6_t                 ipv6;
    ipv6_fragment_t        ipv6_fragment;
    tcp_t                  tcp;
    udp_t                  udp;
    vxlan_t                vxlan;
    geneve_t               geneve;
    geneve_options_t       geneve_options;
    sctp_t                 sctp;
    sctp_chunk_t           sctp_chunk;
    icmp_t                 icmp;
    icmp_echo_t            icmp_echo;
    // What a received ICMP error says, and the start of the packet that it is about.
    icmp_error_t           icmp_error;
    ipv4_t                 quoted_ipv4;
    ipv4_options_t         quoted_ipv4_options;
    ipv6_t                 quoted_ipv6;
    ipv6_fragment_t        quoted_ipv6_fragment;
    quoted_transport_t     quoted_transport;
    quoted_tcp_rest_t      quoted_tcp_rest;
    udp_t                  quoted_udp;
    icmp_t                 quoted_icmp;
    icmp_echo_t            quoted_icmp_echo;
    nd_neighbor_t          nd_neighbor;
    nd_link_layer_option_t nd_link_layer_option;
}

#endif
