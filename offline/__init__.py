"""From ratings to a training run, its evaluation and its publication.

    data -> models, train -> a run folder (`runs`) -> evaluate, publish

data/              the ratings, the split, features as of the moment before each event
models/, train/    the models; their training
evaluate/          quality on the held-out events, of lists and of P(like)
publish/           a run put live, and the way back
state/             the live state written, copied, rebuilt, and moved to another log
runs               run folders
ranking_metrics    hit rate, NDCG and MRR

Importing this package, `data` or `runs` does not import torch.
"""

from offline.errors import DataError, ExportError, OfflineError, RunError

__all__ = ["DataError", "ExportError", "OfflineError", "RunError"]
