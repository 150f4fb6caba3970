"""Images: what is seen in them, and where."""
