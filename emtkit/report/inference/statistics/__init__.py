"""Statistics over networks, a file each; its name is what a study writes after `stat:`."""
