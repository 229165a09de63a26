"""From rows of any source to problems with a readable gold answer, and from problems to the tokens of a prompt."""
