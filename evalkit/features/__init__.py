"""From pictures to feature vectors: what is fed to a network, how it is resized, and where the vectors are kept."""
