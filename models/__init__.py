"""What a released model is, and the released ones."""
