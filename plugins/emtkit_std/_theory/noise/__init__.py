"""Memories in a noisy state: the diffusion of linear ones, and what is corrected."""
