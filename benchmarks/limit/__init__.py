"""How near the encoder comes to what this machine could do, and which layers keep it from that."""
