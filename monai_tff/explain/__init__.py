"""Where and when a prediction looks: attribution maps in the space of the scan, with checks that they mean something."""
