"""Training, from the ratings to a run folder.

pipeline                              the stages of training, and what each leaves in the run folder
encoder_training, validation          one encoder, and its ranks on validation events
p_like_training, reranker_training    one model of the probability of a like; the reranker
ensemble, p_like_ensemble             several models trained side by side
lists, answers                        the lists that the reranker learns from; the encoder's answers for them
reference                             the distributions that drift compares live events with
parallel, allocator                   one process for each piece of training; its memory
"""
