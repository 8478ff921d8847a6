"""The commands, one per file, and the code that they share.

A command is imported when it runs, and imports its modules inside its own function: `--version`,
`--help` and shell completion take only the time of click (30 ms), while numpy takes 75 ms, and the
engine and the screen 300 more. In other rooms the reason for an import inside a function stands
beside it, or at the head of the module if a library is imported on first use.
"""
