"""Which packets are media of which stream, and the table of streams."""
