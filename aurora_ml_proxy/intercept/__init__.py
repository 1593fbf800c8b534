"""Is this packet ours? The fast "no", on raw bytes, for almost every command."""
