"""Graphs of the parser's states and of the controls' flow, as DOT."""
