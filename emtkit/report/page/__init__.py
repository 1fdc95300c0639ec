"""The report page, and what leaves with it."""
