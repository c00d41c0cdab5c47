"""What this project measures of itself; needs the repository."""
