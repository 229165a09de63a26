"""Reward models: losses, and in time their scorer and server. A leaf package: never imports `rltk`."""
