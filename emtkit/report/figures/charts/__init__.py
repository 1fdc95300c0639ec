"""Charts of columns against one axis, a file each; its name is what a study writes after `use:`."""
