@pkg[a = 1, b = "x"] @plain @old("text", 1 + (2))
struct S<T> { bit<8> a; T t; bit<4> arr[3]; }
header H { varbit<(8 * 4)> v; bool flag; int<3> s; }
header_union U { H one; H two; }
enum E { A, B, }
enum bit<8> N { X = 1, Y = X + 1 }
error { Wrong, Worse }
match_kind { exact, custom }
typedef bit<9> Port;
type Port NewPort;
typedef struct Inner { bit<1> b; } Alias;
const tuple<bit<8>, bool> C = { 1, true };
extern void fn<T>(in T x, out bit<8> y, @optional in bit<8> z = 3);
extern Reg<T> { Reg(int size); @pure T read(in bit<32> i); abstract void apply(inout T v); }
extern Forward;
bit<8> double(in bit<8> x) { return x << 1; }
parser Pt<T>(in T x);
control Ct(inout H h);
package Pk<T>(Pt<T> p, Ct c = C1());
parser P(inout H h)(bit<8> n) {
    value_set<tuple<bit<8>, Port>>(4) vs;
    const bit<8> k = 1;
    @name("begin") state start {
        H tmp;
        tmp = h;
        { h.setValid(); }
        transition select(h.s, k) {
            (1 &&& 2, 0 .. 3): next;
            (_, default): accept;
            vs: reject;
            default: next;
        }
    }
    state next { transition accept; }
    state stuck { }
}
control C1(inout H h) {
    Reg<bit<8>>(16) r = { void apply(inout bit<8> v) { v = v + 1; } };
    bit<8> v = 0;
    action a(in bit<8> x, bit<8> y) { v = x |+| y; }
    action nothing() { }
    table t {
        key = { h.flag : exact @name("f"); v[3:0] : custom; }
        actions = { @tableonly a(v); nothing; }
        default_action = a(v, 1);
        const entries = {
            (true, _): nothing();
            (false, 1 &&& 3): a(v, 2) @note;
        }
        size = 10;
    }
    table u {
        key = { v : exact; }
        actions = { nothing; }
        entries = { const priority = 3: 1: nothing; priority = (1 + 1): 2: nothing(); }
    }
    apply {
        if (t.apply().hit) { v += 1; } else if (v == 2) v |-|= 1; else { exit; }
        switch (t.apply().action_run) { a: nothing: { return; } default: { } }
        for (bit<8> i = 0, v = 1; i < 4; i += 1, v = 2) { if (i == 2) break; continue; }
        for (bit<8> j in 0 .. 3) v >>= 1;
        v[7:4] = 3;
        fn<H>(h, _, z = 2);
        h = { v = 1, ... };
        h = {#};
        @atomic { v = (bit<8>)h.s ++ 4w1; ; }
        C2.apply(h);
    }
}
Pk(P(1)) main;
