// What is known about a packet beyond its headers. Each group belongs to the stage that fills it.

#ifndef KULVERT_METADATA_P4
#define KULVERT_METADATA_P4

enum bit<2> port_kind_t {
    UNKNOWN = 0,
    POD     = 1,
    NODE    = 2,
    UPLINK  = 3
}

// Where the sender of a new connection stands, which the traffic policies of Services ask for.
enum bit<2> source_class_t {
    EXTERNAL = 0,
    POD      = 1,
    NODE     = 2        // this node itself
}

// What a TCP segment or the first chunk of an SCTP packet says about its connection.
enum bit<3> signal_t {
    NONE   = 0,         // data, acknowledgements, and every packet of the other protocols
    OPEN   = 1,         // SYN; INIT
    ACCEPT = 2,         // SYN and ACK; INIT ACK
    END    = 3,         // FIN; SHUTDOWN, SHUTDOWN ACK
    ABORT  = 4,         // RST; ABORT, SHUTDOWN COMPLETE
    STRAY  = 5          // a segment that says nothing at all: it can belong to a connection, but open none
}

// The five-tuple. ICMP echo puts its identifier in the place of the asking side's port.
struct flow_t {
    ip_addr_t src_addr;
    ip_addr_t dst_addr;
    bit<16>   l4_sport;
    bit<16>   l4_dport;
    bit<8>    protocol;
}

// The secret of the hash that puts connections and clients in their places.
struct hash_key_t {
    bit<64> word_0;
    bit<64> word_1;
    bit<64> word_2;
    bit<64> word_3;
    bit<64> word_4;
    bit<64> word_5;
    bit<64> word_6;
    bit<64> word_7;
    bit<64> word_8;
    bit<64> word_9;
    bit<64> start;
}

struct connection_t {
    bit<32>  slot;              // the way that holds this direction
    bit<32>  peer_slot;         // the way that holds the other one
    bit<64>  tag;
    bit<28>  now;               // in ticks of 2^20 microseconds
    signal_t signal;
    bit<1>   is_hit;
    bit<1>   is_reply;          // this direction answers the one that opened the connection
    bit<1>   is_retry;          // opened before, and decided anew because nobody has answered
    bit<1>   is_translated;
    bit<1>   is_from_pod;       // what comes in this direction comes from a pod on this node
    bit<1>   is_outdated;       // policies have changed since it was let in
    bit<32>  generation;        // of the policies, as they are now
    bit<1>   is_masqueraded;    // the source is to become the node's own address and a port of the pipeline's choice
    bit<16>  checksum_delta;    // what the translation adds to a TCP or UDP checksum, in ones' complement
    bit<32>  endpoint_id;
}

// What a fragment says of its datagram, and the way that the datagram has.
struct fragment_t {
    bit<32> identification;
    bit<13> offset;             // in units of eight bytes
    bit<16> end;                // likewise
    bit<1>  has_more;
    bit<32> slot;
    bit<36> fingerprint;
    bit<28> expires;
}

// What a new connection finds out about the Service that it asks for.
struct service_t {
    bit<1>         is_found;
    source_class_t source_class;
    bit<24>        internal_set_id;     // the endpoints for pods and this node; 0 is none
    bit<24>        external_set_id;     // the endpoints for everybody else; 0 is none
    bit<24>        set_id;              // that of the two which counts
    bit<3>         masquerade;          // one bit a source class: external, pod, node from the right
    bit<24>        source_ranges_id;    // 0: everybody may
    bit<24>        affinity_id;
    bit<17>        affinity_seconds;    // 0: no session affinity
    bit<32>        affinity_slot;       // where the client's endpoint is remembered
    bit<36>        affinity_fingerprint;
}

// The tunnel that a packet is to leave by.
struct tunnel_t {
    ip_addr_t  local_addr;      // outside, as the next three
    ip_addr_t  remote_addr;     // 0: none
    bit<24>    vni;
    bit<1>     is_geneve;       // VXLAN, if not
    mac_addr_t frame_mac;       // whom the frame inside is for
    bit<16>    overhead;        // bytes
}

struct metadata_t {
    drop_reason_t drop_reason;
    port_kind_t   port_kind;
    @field_list(2)
    port_id_t     ingress_port;     // also of what has come by a tunnel
    @field_list(2)
    mac_addr_t    port_mac;
    bit<1>        is_ended;         // a tunnel's packet, of which only the frame inside goes on, from the parser anew
    @field_list(2)
    bit<1>        is_decapsulated;  // that frame; what was around it follows
    @field_list(2)
    mac_addr_t    arrival_local_mac;
    @field_list(2)
    mac_addr_t    arrival_remote_mac;
    @field_list(2)
    ip_addr_t     arrival_local_addr;
    @field_list(2)
    ip_addr_t     arrival_remote_addr;
    @field_list(2)
    bit<24>       arrival_vni;
    @field_list(2)
    bit<1>        arrival_is_geneve;
    @field_list(2)
    bit<2>        arrival_mark;     // the congestion mark outside
    @field_list(1)
    bit<16>       trap_reason;
    bit<1>        is_trapped;
    bit<1>        is_answered;      // the packet has become its own answer and leaves on the port it came from
    bit<1>        is_refused;       // the sender is to be told
    bit<1>        is_tracked;       // belongs to a connection of its own
    bit<1>        is_fragment;
    bit<1>        is_passive;       // follows its connection and neither opens nor moves one: ICMP errors, fragments but for the first
    bit<1>        is_error;         // an ICMP error about a packet of some connection
    bit<1>        quotes_tcp_checksum;
    flow_t        flow;             // as received; of an ICMP error that of its connection, in the direction of the error
    flow_t        related;          // of an ICMP error: the five-tuple of an answer to the packet it is about
    ip_addr_t     error_source;     // who sent an ICMP error
    flow_t        translated;       // as it leaves
    fragment_t    fragment;
    hash_key_t    hash_key;
    connection_t  connection;
    service_t     service;
    bit<16>       source_egress_policy_id;          // of the pod that sends
    bit<16>       source_ingress_policy_id;
    bit<16>       destination_egress_policy_id;     // of the pod that gets it
    bit<16>       destination_ingress_policy_id;
    bit<24>       source_identity;
    bit<24>       destination_identity;
    ip_addr_t     neighbor_target;
    bit<64>       quoted_fragment;  // what an ICMP error of the pipeline's own quotes behind the IP header: IPv6's fragment header,
    bit<64>       quoted_transport; // and eight bytes of what is carried
    bit<1>        is_to_pod;        // goes to a pod on this node
    tunnel_t      tunnel;
    bit<32>       answer_frame_len; // what an answer is cut to; 0: it is whole
    port_id_t     egress_port;
    bit<16>       mtu;              // of the port that it is to leave on
    mac_addr_t    next_hop_src_mac;
    mac_addr_t    next_hop_dst_mac;
}

#endif
