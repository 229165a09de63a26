"""What is looked at before a run: rows as training will see them, the chat template, room on the disk."""
