"""A running recorder, as a client of its socket, for systems that gather metrics."""
