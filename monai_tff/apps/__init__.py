"""Applications of other systems built on monai_tff."""
