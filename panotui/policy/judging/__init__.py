"""The verdict of a flow, its words, and how violations fold."""
