"""Measurements of the running app. Each prints a table and keeps it in benchmarks/results.md, which README quotes."""
