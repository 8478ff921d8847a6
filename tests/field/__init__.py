"""Captures of situations that people met, and what is true of each on the wire."""
