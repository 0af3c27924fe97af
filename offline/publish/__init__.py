"""Publishing: a run's models, vectors and reference put live, and the Triton model repository they go into."""
