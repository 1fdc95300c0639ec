"""Study files and the plan made from them; nothing here trains."""
