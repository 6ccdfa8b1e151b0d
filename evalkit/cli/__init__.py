"""TBD cli."""
