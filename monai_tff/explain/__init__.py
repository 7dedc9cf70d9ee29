"""Where and when a prediction looks: attribution maps in the space of the scan, and checks of them."""
