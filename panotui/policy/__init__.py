"""Who may connect to whom: rules, verdicts, and queries about a policy."""
