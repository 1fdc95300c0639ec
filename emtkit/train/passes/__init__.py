"""What tiers are made of: passes through time by hand, criteria, programs recorded on CUDA."""
