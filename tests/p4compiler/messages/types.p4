// Values of the wrong type, with where the type comes from.
#include <core.p4>

type bit<9> port_t;
enum bit<8> kind_t { one = 1, two = 2 }
header h_t { bit<8> a; bit<16> b; }
struct pair_t { bit<8> left; bit<16> right; }
bit<8> narrow(in bit<8> value, out bit<4> rest) { rest = value[3:0]; return value; }

control c(inout h_t h, inout pair_t pair, in port_t port) {
    bit<16> wide = 1;
    apply {
        pair.left = wide;
        wide = h.a;
        h.a = narrow(wide, h.b);
        narrow(h.a, 4);
        pair = { 1, 2, 3 };
        pair = { left = 1, rigth = 2 };
        pair = h;
        if (h.a) { }
        bool equal = port == 9w1;
        kind_t kind = 1;
        h.a = h.a + wide;
        h.b[16:9] = 1;
        h.a = wide[20:13];
        wide = pair.left ++
            true ++
            pair.right;
        port = (port_t)9w3;
    }
}
