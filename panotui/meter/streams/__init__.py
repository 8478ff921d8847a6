"""The table of streams, and which packets are media of which stream."""
