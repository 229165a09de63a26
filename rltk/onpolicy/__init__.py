"""On-policy reinforcement learning: sample, grade, compare within the group, step. `loop.py` reads top to bottom."""
