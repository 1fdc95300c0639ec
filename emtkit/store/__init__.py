"""The file that holds every result of a project."""
