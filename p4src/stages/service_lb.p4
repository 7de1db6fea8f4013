// Services: from the frontend that a new connection asks for to the endpoint that serves it.

#ifndef KULVERT_SERVICE_LB_P4
#define KULVERT_SERVICE_LB_P4

// The frontend, who asks, and which endpoints he may have. Leaves meta.service.set_id.
control find_service(inout metadata_t meta) {
    direct_counter(CounterType.packets_and_bytes) service_frontend_counter;
    direct_counter(CounterType.packets_and_bytes) service_address_counter;

    action set_service(@refers_to(service_endpoint_table, set_id) bit<24> internal_set_id,
                       @refers_to(service_endpoint_table, set_id) bit<24> external_set_id, bit<3> masquerade,
                       bit<24> source_ranges_id, bit<24> affinity_id, bit<17> affinity_seconds) {
        meta.service.is_found = 1;
        meta.service.internal_set_id = internal_set_id;
        meta.service.external_set_id = external_set_id;
        meta.service.masquerade = masquerade;
        meta.service.source_ranges_id = source_ranges_id;
        meta.service.affinity_id = affinity_id;
        meta.service.affinity_seconds = affinity_seconds;
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

    action allow_source() {
    }

    table service_source_range_table {
        key = {
            meta.service.source_ranges_id: exact @name("source_ranges_id");
            meta.flow.src_addr:            lpm @name("src_addr");
        }
        actions = {
            allow_source;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = SERVICE_SOURCE_RANGE_TABLE_SIZE;
    }

    action set_pod_source() {
        meta.service.source_class = source_class_t.POD;
    }

    action set_node_source() {
        meta.service.source_class = source_class_t.NODE;
    }

    table source_class_table {
        key = {
            meta.flow.src_addr: lpm @name("src_addr");
        }
        actions = {
            set_pod_source;
            set_node_source;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = SOURCE_CLASS_TABLE_SIZE;
    }

    apply {
        if (service_frontend_table.apply().miss) {
            service_address_table.apply();
        }
        if (meta.service.is_found == 1) {
            if (meta.service.source_ranges_id != 0) {
                if (service_source_range_table.apply().miss) {
                    meta.drop_reason = drop_reason_t.SOURCE_RANGE;
                }
            }
            if (meta.port_kind == port_kind_t.POD) {
                set_pod_source();
            } else {
                source_class_table.apply();
            }
            if (meta.service.source_class == source_class_t.EXTERNAL) {
                meta.service.set_id = meta.service.external_set_id;
                meta.connection.is_masqueraded = meta.service.masquerade[0:0];
            } else if (meta.service.source_class == source_class_t.POD) {
                meta.service.set_id = meta.service.internal_set_id;
                meta.connection.is_masqueraded = meta.service.masquerade[1:1];
            } else {
                meta.service.set_id = meta.service.internal_set_id;
                meta.connection.is_masqueraded = meta.service.masquerade[2:2];
            }
            if (meta.service.set_id == 0 && meta.drop_reason == drop_reason_t.NONE) {
                meta.drop_reason = drop_reason_t.NO_LOCAL_ENDPOINT;
            }
        }
    }
}

// One endpoint of the set: the one that this client had before, if the Service says so, else by the five-tuple's hash.
control select_endpoint_of_set(inout metadata_t meta) {
    action_selector(HashAlgorithm.crc32, ENDPOINT_SELECTOR_SIZE, SELECTOR_HASH_WIDTH) endpoint_selector;

    action select_endpoint(ip_addr_t addr, bit<16> port, bit<32> endpoint_id) {
        meta.translated.dst_addr = addr;
        meta.translated.l4_dport = port;
        meta.connection.endpoint_id = endpoint_id;
        meta.connection.is_translated = 1;
    }

    table service_endpoint_table {
        key = {
            meta.service.set_id: exact @name("set_id");
            meta.flow.src_addr:  selector;
            meta.flow.dst_addr:  selector;
            meta.flow.l4_sport:  selector;
            meta.flow.l4_dport:  selector;
            meta.flow.protocol:  selector;
        }
        actions = {
            select_endpoint;
            @defaultonly NoAction;
        }
        implementation = endpoint_selector;
        size = SERVICE_ENDPOINT_TABLE_SIZE;
    }

    // The addresses change places, so that the pod answers to the Service and the pipeline sees both directions.
    action turn_hairpin() {
        meta.connection.is_masqueraded = 0;
        meta.translated.src_addr = meta.flow.dst_addr;
    }

    apply {
        if (meta.connection.is_translated == 0) {
            if (service_endpoint_table.apply().miss) {
                meta.drop_reason = drop_reason_t.SERVICE_REJECTED;
                meta.is_refused = 1;
            }
        }
        if (meta.translated.dst_addr == meta.flow.src_addr) {
            turn_hairpin();
        }
    }
}

#endif
