"""TBD features."""
