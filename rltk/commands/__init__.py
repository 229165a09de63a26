"""What the commands do, one file each; `rltk.cli` reads the arguments."""
