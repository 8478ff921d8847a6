"""Who may speak to whom: rules, verdicts, and what people ask of them."""
