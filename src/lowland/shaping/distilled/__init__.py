"""Self-distillation: a network learns to match a momentum copy of itself, or itself without gradients (system J7)."""
