"""Short answers to questions against those of ten people: the VQA accuracy and its normalisers."""
