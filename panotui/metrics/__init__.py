"""Metrics of a running recorder, as a client of its socket."""
