"""From the store to tables, claims, figures and one page."""
