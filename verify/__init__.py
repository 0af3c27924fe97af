"""The proof that nothing was lost or counted twice: archive and log folded again, compared with all that is stored.

`log` folds the log, `state` compares profiles, filters, counters and feature rows, `published` what `publish` wrote
into Redis, `drift` the counts of drift, and `models` what Elasticsearch and Triton hold. `oracle` is a second, slow
fold that shares no code with the rest, and `sample` compares some users and items with it.
"""

from verify.proof import verify
from verify.report import Progress, Verified

__all__ = ["Progress", "Verified", "verify"]
