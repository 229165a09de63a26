"""Scaling laws of finished runs: read, fitted by `rltk_eval.scaling`, compared and drawn, without torch."""
