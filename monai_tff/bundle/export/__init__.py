"""Export: from a run folder, or weights of the published code, to a bundle that may be passed on."""
