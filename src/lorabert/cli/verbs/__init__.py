"""One module a verb, each with a `main` that parses, calls and shows."""
