"""Bytes to columns, and control packets to typed values."""
