"""Capture files and pipes: record headers to columns."""
