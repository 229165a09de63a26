"""Two policies under a reward model: how often the one's completion scores higher than the other's."""
