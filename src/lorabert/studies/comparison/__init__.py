"""Methods x seeds x tasks, paired: what is planned, what is run, and what can be said of it."""
