"""Evaluation: `evaluation` replays the held-out events and measures lists and P(like); `cold` does so for cold start.

    state -> lists, p_like -> tally -> evaluation -> report

`item_knn` is a baseline, `exploration` the cost of exploring, `groups` an ablation of recall's sources; `live_api`
compares the running system with these lists.
"""
