"""The fault suite: a replay while something breaks, then the proof that nothing was lost or counted twice."""
