"""The one file that holds everything a project has found out."""
