"""What is known of ports, cameras, endpoints, clocks and flows between two deltas."""
