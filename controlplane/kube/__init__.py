"""Kubernetes state: typed objects, the store that holds them, and the two sources that fill it. No P4 words."""
