"""How often a reward model agrees with preferences: `rltk eval` of a reward model."""
