"""The controller: Kubernetes state to P4Runtime entities."""
