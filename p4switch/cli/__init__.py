"""simple_switch_CLI's commands, for Kulvert's switch and for BMv2's."""
