"""The shared leaf: P4Runtime messages, canonical byte strings and look-up in a P4Info. Imports none of the parts."""
