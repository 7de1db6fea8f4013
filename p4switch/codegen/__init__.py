"""From the model of a BMv2 program to one C translation unit: `p4switch.codegen.program.generate`."""
