"""TBD metrics."""
