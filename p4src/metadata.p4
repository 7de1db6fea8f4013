// What is known about a packet beyond its headers. Each group belongs to the stage that fills it.

#ifndef KULVERT_METADATA_P4
#define KULVERT_METADATA_P4

enum bit<2> port_kind_t {
    UNKNOWN = 0,
    POD     = 1,
    NODE    = 2,
    UPLINK  = 3
}

// How a connection's packets are translated in one direction.
enum bit<2> translation_t {
    NONE        = 0,
    DESTINATION = 1,    // towards the endpoint
    SOURCE      = 2,    // the answer, back to the Service's address
    HAIRPIN     = 3     // a pod that is its own endpoint: the addresses change places, so that it answers to the Service
}

// The five-tuple. ICMP echo puts its identifier in the place of the asking side's port.
struct flow_t {
    ip_addr_t src_addr;
    ip_addr_t dst_addr;
    bit<16>   l4_sport;
    bit<16>   l4_dport;
    bit<8>    protocol;
}

struct connection_t {
    bit<32>       slot;             // the way that holds this direction
    bit<64>       tag;
    bit<28>       now;              // in ticks of 2^20 microseconds
    bit<1>        is_hit;
    bit<1>        is_reply;         // this direction answers the one that opened the connection
    translation_t translation;
    ip_addr_t     address;          // what the translated address becomes
    bit<16>       port;             // what the translated port becomes
    bit<16>       checksum_delta;   // what the translation adds to a TCP or UDP checksum, in ones' complement
    bit<32>       endpoint_id;
}

struct metadata_t {
    drop_reason_t drop_reason;
    port_kind_t   port_kind;
    mac_addr_t    port_mac;
    @field_list(1)
    bit<16>       trap_reason;
    bit<1>        is_trapped;
    bit<1>        is_answered;      // the packet has become its own answer and leaves on the port it came from
    bit<1>        is_refused;       // the sender is to be told
    bit<1>        is_tracked;       // belongs to a connection: not an ICMP error
    flow_t        flow;             // as received
    flow_t        translated;       // as it leaves
    connection_t  connection;
    bit<24>       service_id;
    bit<1>        is_service;
    bit<16>       egress_policy_id;
    bit<16>       ingress_policy_id;
    bit<24>       source_identity;
    bit<24>       destination_identity;
    ip_addr_t     neighbor_target;
    port_id_t     egress_port;
    mac_addr_t    next_hop_src_mac;
    mac_addr_t    next_hop_dst_mac;
}

#endif
