"""From ratings to a training run: data, split, point-in-time features, the two models, their export and evaluation.

    data -> models, train -> a run folder (`runs`) -> evaluate, publish

`state` writes, copies and rebuilds the live state. Importing this package, `data` or `runs` does not import torch.
"""

from offline.errors import DataError, ExportError, OfflineError, RunError

__all__ = ["DataError", "ExportError", "OfflineError", "RunError"]
