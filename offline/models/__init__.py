"""Models without their training, and their export.

encoder, softmax       the sequence encoder and its loss
metadata               vectors of items without ratings
p_like, similar        the probability of a like; similar items
reranker, neighbours   the order of a list; item-item scores
ranker, export         the model that serves P(like) and the order; ONNX files and their proof
"""
