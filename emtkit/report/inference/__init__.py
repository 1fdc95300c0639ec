"""From numbers to conclusions."""
