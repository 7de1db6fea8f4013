"""The `kulvert` command: composition of the compiler, the switch and the control plane."""
