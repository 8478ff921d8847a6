"""The state of ports, cameras, endpoints, clocks and flows between two deltas."""
