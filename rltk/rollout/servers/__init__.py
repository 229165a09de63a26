"""Completions from servers that speak vLLM's API: vLLM itself, `rltk serve`, and whatever else does."""
