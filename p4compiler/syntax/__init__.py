"""Preprocessor, lexer, parser and the abstract syntax tree of P4_16."""
