"""What people ask of a running node: status, tables, trace, connections, difference. All of it read from the switch itself."""
