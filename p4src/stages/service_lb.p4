// Services: from the frontend that a new connection asks for to the endpoint that serves it.

#ifndef KULVERT_SERVICE_LB_P4
#define KULVERT_SERVICE_LB_P4

control service_lb(inout metadata_t meta) {
    direct_counter(CounterType.packets_and_bytes) service_frontend_counter;
    direct_counter(CounterType.packets_and_bytes) service_address_counter;
    action_selector(HashAlgorithm.crc32, ENDPOINT_SELECTOR_SIZE, SELECTOR_HASH_WIDTH) endpoint_selector;

    action set_service(bit<24> service_id) {
        meta.service_id = service_id;
        meta.is_service = 1;
    }

    action reject_service() {
        meta.drop_reason = drop_reason_t.SERVICE_REJECTED;
        meta.is_refused = 1;
    }

    action drop_service() {
        meta.drop_reason = drop_reason_t.SERVICE_DROPPED;
    }

    table service_frontend_table {
        key = {
            meta.flow.dst_addr: exact @name("dst_addr");
            meta.flow.protocol: exact @name("protocol");
            meta.flow.l4_dport: exact @name("l4_dport");
        }
        actions = {
            set_service;
            reject_service;
            drop_service;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        counters = service_frontend_counter;
        size = SERVICE_FRONTEND_TABLE_SIZE;
    }

    action reject_address() {
        meta.drop_reason = drop_reason_t.SERVICE_PORT_REJECTED;
        meta.is_refused = 1;
    }

    action drop_address() {
        meta.drop_reason = drop_reason_t.SERVICE_DROPPED;
    }

    table service_address_table {
        key = {
            meta.flow.dst_addr: lpm @name("dst_addr");
        }
        actions = {
            reject_address;
            drop_address;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        counters = service_address_counter;
        size = SERVICE_ADDRESS_TABLE_SIZE;
    }

    action select_endpoint(ip_addr_t addr, bit<16> port, bit<32> endpoint_id) {
        meta.connection.translation = translation_t.DESTINATION;
        meta.connection.address = addr;
        meta.connection.port = port;
        meta.connection.endpoint_id = endpoint_id;
    }

    table service_endpoint_table {
        key = {
            meta.service_id:    exact @name("service_id");
            meta.flow.src_addr: selector;
            meta.flow.dst_addr: selector;
            meta.flow.l4_sport: selector;
            meta.flow.l4_dport: selector;
            meta.flow.protocol: selector;
        }
        actions = {
            select_endpoint;
            @defaultonly NoAction;
        }
        implementation = endpoint_selector;
        size = SERVICE_ENDPOINT_TABLE_SIZE;
    }

    bit<64> sum = 0;

    // RFC 1624, equation 3: the sum of the complements of what goes and of what comes. The upper 96 bits of two
    // IPv4-mapped addresses cancel each other, so that one formula does for both families.
    action add_up_difference() {
        sum = (bit<64>)(~meta.flow.dst_addr[127:96]) + (bit<64>)(~meta.flow.dst_addr[95:64])
            + (bit<64>)(~meta.flow.dst_addr[63:32]) + (bit<64>)(~meta.flow.dst_addr[31:0])
            + (bit<64>)meta.connection.address[127:96] + (bit<64>)meta.connection.address[95:64]
            + (bit<64>)meta.connection.address[63:32] + (bit<64>)meta.connection.address[31:0]
            + (bit<64>)(~meta.flow.l4_dport) + (bit<64>)meta.connection.port;
    }

    // The addresses only change places, so that nothing but the port counts.
    action turn_hairpin() {
        meta.connection.translation = translation_t.HAIRPIN;
        sum = (bit<64>)(~meta.flow.l4_dport) + (bit<64>)meta.connection.port;
    }

    action fold_words() {
        sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    }

    action fold_carry() {
        sum = (sum & 0xffff) + (sum >> 16);
    }

    action keep_checksum_delta() {
        meta.connection.checksum_delta = (bit<16>)(sum + (sum >> 16));      // the carry's own carry ends up in bit 0
    }

    apply {
        if (service_frontend_table.apply().miss) {
            service_address_table.apply();
        }
        if (meta.is_service == 1) {
            if (service_endpoint_table.apply().miss) {
                reject_service();
            } else {
                if (meta.connection.address == meta.flow.src_addr) {
                    turn_hairpin();
                } else {
                    add_up_difference();
                }
                fold_words();
                fold_carry();
                keep_checksum_delta();
            }
        }
    }
}

#endif
