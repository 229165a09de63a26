"""What runs with no download and no GPU: generated problems and the small models trained on them."""
