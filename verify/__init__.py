"""The proof that nothing was lost or counted twice: archive and log folded again, compared with everything stored.

proof                      the steps of `reelstream verify`
log                        the fold of archive and log
state, catalogue           comparison of the state, and of the items as each shard knows them
published, drift           comparison of what `publish` wrote, of drift's counts
documents, models          comparison of what Elasticsearch and Triton hold for the live run
oracle                     a second, slow fold that shares no code with the rest
sample, inputs             a sample of users and items, and of the ranker's inputs, compared with the oracle
report, reading            the result; reading stored values where some are damaged
"""

from verify.proof import verify
from verify.report import Progress, Verified

__all__ = ["Progress", "Verified", "verify"]
