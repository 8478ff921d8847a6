"""The commands, one a file, with what they share.

A command is imported when it runs, and imports what it needs inside its own function: `--version`,
`--help` and the completion of a shell answer in the time of click alone (30 ms), while numpy takes
75 ms, the engine and the screen 300 more. In other rooms an import inside a function has its reason
beside it, or at the head of its module where a library is imported on first use.
"""
