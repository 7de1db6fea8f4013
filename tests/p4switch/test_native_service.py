"""The service on the native data plane: what a client writes is what the C tables hold."""
