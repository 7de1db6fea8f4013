// The core library of P4_16 (specification 1.2.5, appendix D): what every architecture builds on.
#ifndef _CORE_P4_
#define _CORE_P4_

error {
    NoError,
    PacketTooShort,         // extract or advance beyond the end of the packet
    NoMatch,                // no case of a select applies
    StackOutOfBounds,       // .next or .last of a header stack outside of it
    HeaderTooShort,         // more bits for a varbit field than it can hold
    ParserTimeout,
    ParserInvalidArgument   // a value that the target's parser cannot work with
}

extern packet_in {
    // The first form takes a header of fixed size, the second one with a single varbit field of the given size.
    void extract<T>(out T hdr);
    void extract<T>(out T variableSizeHeader, in bit<32> variableFieldSizeInBits);
    T lookahead<T>();
    void advance(in bit<32> sizeInBits);
    bit<32> length();
}

extern packet_out {
    // Headers, stacks, unions and structs of them; what is not valid adds nothing.
    void emit<T>(in T hdr);
}

// A false check ends parsing with the given error.
extern void verify(in bool check, in error toSignal);

@noWarn("unused")
action NoAction() {}

match_kind {
    exact,
    ternary,
    lpm
}

// Evaluated by the compiler; a false check is an error with the message.
extern bool static_assert(bool check, string message);
extern bool static_assert(bool check);

#endif
