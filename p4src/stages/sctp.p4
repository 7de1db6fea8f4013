// SCTP's checksum is a CRC32c over ports and payload, not over the addresses. Other ports change it by a difference that the payload
// has no part in: a CRC is linear, so the CRC of what changed, moved up by the bytes behind it, comes on top. How many those are, a
// first fragment does not say, so that it cannot be translated.
//
// Polynomials over GF(2) modulo CRC32c's own, held as CRC32c holds them: the highest bit is the coefficient of x^0.

#ifndef KULVERT_SCTP_P4
#define KULVERT_SCTP_P4

const bit<32> CRC32C_POLYNOMIAL = 0x82f63b78;

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

    // x^8 to the length, six bits of the length at a time. SCTP pads everything to four bytes.
    table sctp_low_power_table {
        key = {
            length[7:2]: exact @name("length_7_2");
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
            16: set_power(0xb82be955);
            17: set_power(0x3a077781);
            18: set_power(0x8cfaa965);
            19: set_power(0x1ce9d94b);
            20: set_power(0x36c41f1c);
            21: set_power(0x041d3776);
            22: set_power(0x8cd75659);
            23: set_power(0x817cdc51);
            24: set_power(0x19b29a35);
            25: set_power(0xe0b99ccb);
            26: set_power(0xe661f7be);
            27: set_power(0xa11bfaf3);
            28: set_power(0xc9e90b9e);
            29: set_power(0x156c8e18);
            30: set_power(0x0b4a395b);
            31: set_power(0x069db049);
            32: set_power(0xb8fdb1e7);
            33: set_power(0x34c96751);
            34: set_power(0xb04de25a);
            35: set_power(0x64b67ee0);
            36: set_power(0xe55ef1f3);
            37: set_power(0x3f484024);
            38: set_power(0x6791d588);
            39: set_power(0xc133722b);
            40: set_power(0x1fe0b5c3);
            41: set_power(0x8f68fcec);
            42: set_power(0x1903da7f);
            43: set_power(0x6d76739f);
            44: set_power(0xe0553f1e);
            45: set_power(0x78e87aaf);
            46: set_power(0x56767c92);
            47: set_power(0x55bd7f95);
            48: set_power(0x18e4a304);
            49: set_power(0x543d5c54);
            50: set_power(0x3e65ddf9);
            51: set_power(0x924752ba);
            52: set_power(0x2b830011);
            53: set_power(0x42316c00);
            54: set_power(0x730206ad);
            55: set_power(0x419a4419);
            56: set_power(0x56993a31);
            57: set_power(0x38e888d4);
            58: set_power(0x844752a9);
            59: set_power(0x963a1892);
            60: set_power(0x0246e2e6);
            61: set_power(0x7fec2963);
            62: set_power(0xe5bf8048);
            63: set_power(0x5cf015c3);
        }
    }

    table sctp_high_power_table {
        key = {
            length[13:8]: exact @name("length_13_8");
        }
        actions = {
            set_power;
        }
        const entries = {
             0: set_power(0x80000000);
             1: set_power(0x88e56f72);
             2: set_power(0x74c360a4);
             3: set_power(0x631bb273);
             4: set_power(0xe4172b16);
             5: set_power(0x71892b1b);
             6: set_power(0x835305c9);
             7: set_power(0x196b1eae);
             8: set_power(0x0d65762a);
             9: set_power(0xafc81338);
            10: set_power(0xb5a50ab7);
            11: set_power(0xf373c3ac);
            12: set_power(0x5f60970f);
            13: set_power(0xd46d3063);
            14: set_power(0x3a5275ea);
            15: set_power(0x02331c01);
            16: set_power(0x35d73a62);
            17: set_power(0x2600ffa6);
            18: set_power(0xf65e86d6);
            19: set_power(0x68e46ea2);
            20: set_power(0x8eeafe04);
            21: set_power(0xaca289d5);
            22: set_power(0x84e3f8c8);
            23: set_power(0xda17456b);
            24: set_power(0x481bee08);
            25: set_power(0xa8b4118b);
            26: set_power(0x59f4852c);
            27: set_power(0x717a8910);
            28: set_power(0xefcf4f49);
            29: set_power(0xecbbe106);
            30: set_power(0xda1c4087);
            31: set_power(0xdc2ced79);
            32: set_power(0x28461564);
            33: set_power(0xeccb4578);
            34: set_power(0x6d8f49d8);
            35: set_power(0x9b7ad6c5);
            36: set_power(0xce2c905d);
            37: set_power(0xa32be27a);
            38: set_power(0xde8a8e12);
            39: set_power(0x8c117538);
            40: set_power(0x8778fbde);
            41: set_power(0xd8c96934);
            42: set_power(0x9b9e9037);
            43: set_power(0xafc0eb67);
            44: set_power(0x8a898a05);
            45: set_power(0x6e971abe);
            46: set_power(0x186d1391);
            47: set_power(0xc2d95be8);
            48: set_power(0x43eefc9f);
            49: set_power(0xb8868422);
            50: set_power(0xde5a3422);
            51: set_power(0x2082707c);
            52: set_power(0x456ea1c5);
            53: set_power(0x3ed57030);
            54: set_power(0x3b1d89ea);
            55: set_power(0xb158055f);
            56: set_power(0xba8dd573);
            57: set_power(0xbd9b04e0);
            58: set_power(0x86162060);
            59: set_power(0xc9f6cbf5);
            60: set_power(0x9714afd1);
            61: set_power(0xe45901d7);
            62: set_power(0x5282b1be);
            63: set_power(0xd847ebfd);
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
                if (length[13:8] != 0) {
                    sctp_high_power_table.apply();
                    multiply();
                }
                write_checksum();
            }
        }
    }
}

#endif
