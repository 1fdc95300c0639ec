"""Ways to compute the gradients of a stack, a file each."""
