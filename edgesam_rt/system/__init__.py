"""What the machine says of itself, read from small files; knows nothing of boards or engines."""
