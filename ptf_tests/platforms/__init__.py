"""Platform modules for ptf."""
