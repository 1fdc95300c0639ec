"""Where segments run: this process, worker processes, or a cluster."""
