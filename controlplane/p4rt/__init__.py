"""Entities to a P4Runtime server: numbers and bytes, difference, order, session."""
