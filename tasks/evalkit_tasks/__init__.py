"""Benchmarks, one file each, and the data that evalkit ships."""
TASKS = ()
MODELS = ()
