"""Running a plan: segments of work, engines, and the store."""
