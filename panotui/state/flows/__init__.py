"""Flows as they are kept and shown: by column."""
