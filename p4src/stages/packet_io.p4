// Packets from and to the controller.

#ifndef KULVERT_PACKET_IO_P4
#define KULVERT_PACKET_IO_P4

// A packet from the controller leaves on the port it names, untouched.
control packet_out_stage(inout headers_t hdr, inout standard_metadata_t standard_metadata) {
    apply {
        standard_metadata.egress_spec = (port_id_t)hdr.packet_out.egress_port;
        hdr.packet_out.setInvalid();
    }
}

// Whatever leaves on the CPU port, trapped or copied, says where it came from and why.
control packet_in_stage(inout headers_t hdr, in metadata_t meta, in standard_metadata_t standard_metadata) {
    apply {
        if (standard_metadata.egress_port == CPU_PORT) {
            hdr.packet_in.setValid();
            hdr.packet_in.ingress_port = (bit<16>)standard_metadata.ingress_port;
            hdr.packet_in.reason = meta.trap_reason;
        }
    }
}

#endif
