"""Publishing: putting a run live, and going back to the previous one.

publication        the steps of `reelstream publish`
rollback           the previous run, live again
probe              the proof that Triton and Elasticsearch answer as the trained models did
model_repository   the model repository that Triton reads
"""
