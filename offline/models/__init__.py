"""Models without their training, and their export.

encoder, softmax       the sequence encoder and its loss
targets                the events that it learns to predict, and how much each counts
metadata               vectors of items with few events
p_like, similar        the probability of a like; similar items
reranker, neighbours   the order of a list; item-item scores
item_pairs             values of pairs of items, of those in which they say most
ranker, export         the model that serves P(like) and the order; ONNX files and their proof
"""
