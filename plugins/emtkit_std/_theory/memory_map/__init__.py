"""What a network holds of what it must remember, where, how it moves, and whether it is used."""
