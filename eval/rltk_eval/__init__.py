"""Answers, metrics and grading: a leaf package that rewards and evaluation share. Never imports `rltk`."""
