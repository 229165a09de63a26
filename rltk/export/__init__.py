"""What a run trained, in the form in which everyone else's programs load it."""
