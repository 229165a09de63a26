"""`python -m rltk`: the command line where the package is not installed."""

from rltk.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
