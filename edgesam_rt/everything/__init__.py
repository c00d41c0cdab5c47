"""Everything mode: all masks of a picture."""
