"""What can be said before anything runs. Nothing here imports torch."""
