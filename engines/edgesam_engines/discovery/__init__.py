"""Discovery head: objectness and boxes from PocketSAM's own feature maps, left as they are."""
