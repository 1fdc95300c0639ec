"""Which horizon a network trains on and when it moves, a file each."""
