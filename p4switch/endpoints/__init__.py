"""Ports of the switch that are no network interfaces: sockets and pcap files. They need no privileges."""
