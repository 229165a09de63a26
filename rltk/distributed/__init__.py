"""Several processes that train one model: where they stand, what they tell each other, who holds which part of it."""
