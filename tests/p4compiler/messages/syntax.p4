// What cannot be parsed, and how far one error reaches.
#include <core.p4>

struct meta_t { bit<8> count; bit<8> value }

control first(inout meta_t meta) {
    action a() { meta.count = 1 }
    table t { key = { meta.count: exact } actions = { a; } }
    aply { t.apply(); }
}

control second(inout meta_t meta) {
    apply {
        meta.count = 8w0x1g
        meta.value = 2;
        if (meta.count == 1 { meta.value = 1; }
        meta.count = ;
    }
    action late() { }
}

control third(inout meta_t meta) {
    apply { meta.count = 1;

control fourth(inout meta_t meta) { apply { meta.value = 1; } }
