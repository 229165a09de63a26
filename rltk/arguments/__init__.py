"""What may be typed after each command, one family of commands a file; only argparse is needed."""
