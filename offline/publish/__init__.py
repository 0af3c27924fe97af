"""Publishing: `publication` puts a run live, `rollback` returns to the one before.

`probe` proves that Triton and Elasticsearch answer as the trained models did; `model_repository` is what Triton reads.
"""
