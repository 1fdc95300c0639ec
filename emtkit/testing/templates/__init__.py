"""Working plugins to start from; `emtkit new` copies one under the name that is asked for."""
