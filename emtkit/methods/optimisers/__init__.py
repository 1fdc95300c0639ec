"""Rules by which weights follow from gradients, a file each."""
