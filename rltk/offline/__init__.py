"""Supervised fine-tuning and DPO by TRL's trainers; nothing outside this package names an argument of theirs."""
