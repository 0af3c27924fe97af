"""Training: `pipeline` leads from the ratings to a run folder.

Each `*_training` trains one model of `offline.models`; `ensemble` and `p_like_ensemble` train several side by side.
`lists` makes the lists that the reranker learns from, `reference` what drift compares live events with.
"""
