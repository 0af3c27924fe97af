"""Evaluation: `evaluation` replays the held-out events and measures lists and P(like); `cold` does so for cold start.

    state -> lists, p_like -> tally -> evaluation -> report

`live_api` compares the running system with the same lists.
"""
