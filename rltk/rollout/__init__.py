"""From prompts to completions with the log-probabilities they were sampled with."""
