"""Ways to have requests answered: in this process, and later on many machines."""
