"""Output as one document: JSON, CSV, a page, Markdown."""
