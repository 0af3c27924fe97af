"""Publishing: putting a run live, and going back to the previous one.

publication        the steps of `reelstream publish`
index_fill         the index of a run, with the items as they are
new_items          items that a run was not trained with
rollback           the previous run, live again
probe              the proof that Triton and Elasticsearch answer as the trained models did
model_repository   the model repository that Triton reads
"""
