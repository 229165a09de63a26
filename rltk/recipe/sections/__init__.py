"""The sections of a recipe, one idea a file: their keys, types, ranges and defaults, and the rules within each."""
