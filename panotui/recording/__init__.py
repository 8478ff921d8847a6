"""The folder of a recording: written, rolled up, read again."""
