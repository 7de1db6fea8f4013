"""BMv2's Thrift services on the native data plane, so that simple_switch_CLI and scripts written for BMv2 find what they know."""
