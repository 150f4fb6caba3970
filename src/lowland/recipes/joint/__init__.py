"""Joint embeddings, pretext tasks, and what few labels are worth after them."""
