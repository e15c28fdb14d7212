"""The frozen base, its architecture's vocabulary, and what a method trains on it."""
