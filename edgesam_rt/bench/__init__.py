"""What a board measures of itself: `edgesam-bench`. Needs no repository and no network."""
