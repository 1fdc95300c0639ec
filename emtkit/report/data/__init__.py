"""What was stored, as the views read it."""
