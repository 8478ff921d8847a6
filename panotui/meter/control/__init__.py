"""Control packets and the first payloads of connections, within a budget."""
