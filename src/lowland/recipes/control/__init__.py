"""Control of small plants by learned models."""
