"""evalkit measures multimodal generative models."""
