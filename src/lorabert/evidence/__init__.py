"""Pure functions of arrays and texts: what a classifier is worth, and how sure that is."""
