"""Whether LoRA costs anything: findings of the literature, and their measurement here."""
