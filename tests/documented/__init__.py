"""What README and the pages of docs/ tell a reader to type, read off them and tried."""
