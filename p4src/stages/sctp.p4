// SCTP's checksum is a CRC32c over ports and payload, not over the addresses. Other ports change it by a difference that the payload
// has no part in: a CRC is linear, so the CRC of what changed, moved up by the bytes behind it, comes on top. How many those are, a
// first fragment does not say, so that it cannot be translated.
//
// Polynomials over GF(2) modulo CRC32c's own, held as CRC32c holds them: the highest bit is the coefficient of x^0.

#ifndef KULVERT_SCTP_P4
#define KULVERT_SCTP_P4

const bit<32> CRC32C_POLYNOMIAL = 0x82f63b78;

@noWarn("invalid-header")
control rewrite_sctp(inout headers_t hdr, inout metadata_t meta) {
    bit<32> changed = 0;
    bit<32> factor = 0;
    bit<32> product = 0;
    bit<32> power = 0;
    bit<16> length = 0;

    // The first byte of the packet is the lowest of the difference.
    action begin() {
        changed = (hdr.sctp.sport ^ meta.translated.l4_sport) ++ (hdr.sctp.dport ^ meta.translated.l4_dport);
        product = changed[7:0] ++ changed[15:8] ++ changed[23:16] ++ changed[31:24];
        hdr.sctp.sport = meta.translated.l4_sport;
        hdr.sctp.dport = meta.translated.l4_dport;
    }

    action measure_ipv4() {
        length = hdr.ipv4.total_len - ((bit<16>)hdr.ipv4.ihl << 2);
    }

    action measure_ipv6() {
        length = hdr.ipv6.payload_len;
    }

    action add_power(in bit<1> coefficient) {
        product = product ^ (power & (32w0 - (bit<32>)coefficient));
        power = (power >> 1) ^ (CRC32C_POLYNOMIAL & (32w0 - (bit<32>)power[0:0]));
    }

    // The product, by the power.
    action multiply() {
        factor = product;
        product = 0;
        add_power(factor[31:31]); add_power(factor[30:30]); add_power(factor[29:29]); add_power(factor[28:28]);
        add_power(factor[27:27]); add_power(factor[26:26]); add_power(factor[25:25]); add_power(factor[24:24]);
        add_power(factor[23:23]); add_power(factor[22:22]); add_power(factor[21:21]); add_power(factor[20:20]);
        add_power(factor[19:19]); add_power(factor[18:18]); add_power(factor[17:17]); add_power(factor[16:16]);
        add_power(factor[15:15]); add_power(factor[14:14]); add_power(factor[13:13]); add_power(factor[12:12]);
        add_power(factor[11:11]); add_power(factor[10:10]); add_power(factor[9:9]); add_power(factor[8:8]);
        add_power(factor[7:7]); add_power(factor[6:6]); add_power(factor[5:5]); add_power(factor[4:4]);
        add_power(factor[3:3]); add_power(factor[2:2]); add_power(factor[1:1]); add_power(factor[0:0]);
    }

    action set_power(bit<32> value) {
        power = value;
    }

    // x^8 to the length, four bits of the length at a time. SCTP pads everything to four bytes.
    table sctp_low_power_table {
        key = {
            length[5:2]: exact @name("length_5_2");
        }
        actions = {
            set_power;
        }
        const entries = {
             0: set_power(0x80000000);
             1: set_power(0x82f63b78);
             2: set_power(0x6ea2d55c);
             3: set_power(0xa66805eb);
             4: set_power(0x18b8ea18);
             5: set_power(0x790606ff);
             6: set_power(0x9957c0a6);
             7: set_power(0x5d27e147);
             8: set_power(0x510ac59a);
             9: set_power(0x9c25531d);
            10: set_power(0x19e65dde);
            11: set_power(0xec1631ed);
            12: set_power(0xb2dea967);
            13: set_power(0x0e148e82);
            14: set_power(0x52377a55);
            15: set_power(0x4f256efc);
        }
    }

    table sctp_middle_power_table {
        key = {
            length[9:6]: exact @name("length_9_6");
        }
        actions = {
            set_power;
        }
        const entries = {
             0: set_power(0x80000000);
             1: set_power(0xb82be955);
             2: set_power(0xb8fdb1e7);
             3: set_power(0x18e4a304);
             4: set_power(0x88e56f72);
             5: set_power(0x9030a49c);
             6: set_power(0x67db2c4a);
             7: set_power(0xe744dcb2);
             8: set_power(0x74c360a4);
             9: set_power(0x8e9906a7);
            10: set_power(0xb469724f);
            11: set_power(0x24d84074);
            12: set_power(0x631bb273);
            13: set_power(0xee2a2d56);
            14: set_power(0x654f84e7);
            15: set_power(0x629069c6);
        }
    }

    table sctp_high_power_table {
        key = {
            length[13:10]: exact @name("length_13_10");
        }
        actions = {
            set_power;
        }
        const entries = {
             0: set_power(0x80000000);
             1: set_power(0xe4172b16);
             2: set_power(0x0d65762a);
             3: set_power(0x5f60970f);
             4: set_power(0x35d73a62);
             5: set_power(0x8eeafe04);
             6: set_power(0x481bee08);
             7: set_power(0xefcf4f49);
             8: set_power(0x28461564);
             9: set_power(0xce2c905d);
            10: set_power(0x8778fbde);
            11: set_power(0x8a898a05);
            12: set_power(0x43eefc9f);
            13: set_power(0x456ea1c5);
            14: set_power(0xba8dd573);
            15: set_power(0x9714afd1);
        }
    }

    action write_checksum() {
        hdr.sctp.checksum = hdr.sctp.checksum ^ (product[7:0] ++ product[15:8] ++ product[23:16] ++ product[31:24]);
    }

    apply {
        begin();
        if (changed != 0) {
            if (hdr.ipv4.isValid()) {
                measure_ipv4();
            } else {
                measure_ipv6();
            }
            if (meta.is_fragment == 1) {
                meta.drop_reason = drop_reason_t.FRAGMENT;
            } else if (length[15:14] != 0 || length[1:0] != 0) {
                meta.drop_reason = drop_reason_t.MALFORMED;
            } else {
                sctp_low_power_table.apply();
                multiply();
                sctp_middle_power_table.apply();
                multiply();
                if (length[13:10] != 0) {
                    sctp_high_power_table.apply();
                    multiply();
                }
                write_checksum();
            }
        }
    }
}

#endif
