"""One run from configuration to record; evaluation; what is said about them."""
