"""Live interfaces: rings, links, privileges."""
