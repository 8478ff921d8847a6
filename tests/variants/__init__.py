"""Situations told again: the same truth in other bytes, and what is said of it."""
