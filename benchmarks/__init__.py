"""rltk against its peers, side by side in one run: `python -m benchmarks.step`, `python -m benchmarks.rollout`."""
