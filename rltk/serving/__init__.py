"""A policy and its adapters for whoever asks: an OpenAI-compatible HTTP server, and a chat in the terminal."""
