"""Ways to put requests to a model: in this process, or in workers on Ray. See README.md in this folder."""
