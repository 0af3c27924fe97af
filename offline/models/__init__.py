"""Models, without their training: the encoder, P(like), the reranker, the ranker that serves both, and their export."""
