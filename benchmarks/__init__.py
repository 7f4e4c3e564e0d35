"""Measurements, each a script that prints a table; their figures are dated in docs/LOG.md."""
