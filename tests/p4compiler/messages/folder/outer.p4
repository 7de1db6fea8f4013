#include "inner.p4"
const bit<8> outer = innner;
