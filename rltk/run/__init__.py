"""A run on disk: its folder, its checkpoints, and what the person watching it sees."""
