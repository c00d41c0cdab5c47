"""Pure functions on pictures, masks and boxes."""
