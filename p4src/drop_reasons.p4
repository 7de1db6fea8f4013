// Why a packet was dropped: the index of `drop_counter`. Numbers are stable; new reasons go to the end.

#ifndef KULVERT_DROP_REASONS_P4
#define KULVERT_DROP_REASONS_P4

enum bit<8> drop_reason_t {
    NONE                   = 0,
    MALFORMED              = 1,     // shorter than its own headers say, or headers that contradict each other
    UNSUPPORTED_ETHER_TYPE = 2,     // neither ARP nor IP
    UNKNOWN_PORT           = 3,     // the port is not in port_table
    FOREIGN_MAC            = 4,     // not sent to the MAC the pipeline has on this port
    NEIGHBOR_UNKNOWN       = 5,     // asks for a neighbour that neighbor_table does not answer for
    NEIGHBOR_UNSUPPORTED   = 6,     // ARP or neighbour discovery that is not a question
    BAD_IPV4_CHECKSUM      = 7,
    MARTIAN                = 8,     // an address that must not be on the wire, or not in this place
    MULTICAST              = 9,     // multicast and broadcast are not forwarded
    FRAGMENT               = 10,    // a first fragment that cannot be translated: SCTP's
    EXTENSION_HEADER       = 11,    // IPv6 hop-by-hop, routing or destination options
    SPOOFED_ADDRESS        = 12,    // a source address that does not belong on this port
    SPOOFED_MAC            = 13,    // a pod's address with another MAC
    NOT_IN_CONNECTION      = 14,    // an answer, reset or end of a connection that is not known
    STALE_CONNECTION       = 15,    // an answer from an endpoint that is gone
    SERVICE_REJECTED       = 16,    // a frontend without usable endpoint
    SERVICE_PORT_REJECTED  = 17,    // a Service's address at a port that it does not serve
    SERVICE_DROPPED        = 18,    // a Service's rule says drop, or nobody holds the address of a Service range
    EGRESS_POLICY          = 19,
    INGRESS_POLICY         = 20,
    NO_ROUTE               = 21,
    TTL_EXCEEDED           = 22,
    CONNECTIONS_FULL       = 23,    // no way to be had in the connection's set
    CONNECTION_CONFLICT    = 24,    // its answers could not be told from those of another connection
    SOURCE_RANGE           = 25,    // a load balancer's address, asked for from outside its loadBalancerSourceRanges
    NO_LOCAL_ENDPOINT      = 26,    // a traffic policy Local, and no endpoint on this node
    MASQUERADE_EXHAUSTED   = 27,    // no free port of the node's could be had
    NO_MASQUERADE_ADDRESS  = 28,    // the node has no address of that family
    UNANSWERED_LIMIT       = 29,    // the pod has opened too many connections that nobody has answered
    UNRELATED_ERROR        = 30,    // an ICMP error about no packet that has gone through here, or by somebody who cannot know
    TOO_BIG                = 31,    // longer than the MTU of the port that it would leave on
    FRAGMENT_WITHOUT_FIRST = 32,    // a fragment whose datagram's first one has not gone through here, or too long ago
    FRAGMENT_OVERLAP       = 33,    // a fragment that begins within what has gone through already
    UNKNOWN_TUNNEL         = 34,    // for an end of a tunnel: this node's, but not from a node that is known, with its VNI; or by masquerade
    CONGESTED              = 35     // marked in a tunnel as having met congestion, and inside not to be marked
}

const bit<32> DROP_REASONS = 64;

#endif
