"""Packets in, one `Delta` per tick out: flows, TCP quality, control packets, streams."""
