"""What this machine can do, and what is missing, found out without importing torch."""
