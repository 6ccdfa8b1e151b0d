"""TBD executors."""
