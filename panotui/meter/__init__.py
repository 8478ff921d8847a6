"""Packets in, a `Delta` a tick out: flows, TCP quality, control packets, streams."""
