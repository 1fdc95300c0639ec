"""How the learning rate goes over training, a file each."""
