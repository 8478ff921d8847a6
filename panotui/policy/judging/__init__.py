"""The verdict of a flow, its wording, and the merging of violations."""
