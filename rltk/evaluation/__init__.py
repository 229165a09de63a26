"""Evaluations outside of training: what is evaluated, what is kept of it, and how two of them compare."""
