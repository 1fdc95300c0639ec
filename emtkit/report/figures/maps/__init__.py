"""Maps of one value over two axes, a file each; its name is what a study writes after `use:`."""
