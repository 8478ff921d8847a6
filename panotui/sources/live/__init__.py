"""Live interfaces: the ring, the links, the privileges."""
