"""From ratings to a training run: data, split, point-in-time features, the two models, their export and evaluation.

    data -> split -> history -> encoder, ranker -> export -> a run folder -> publish

Importing this package, or `data`, `download`, `generate`, `split`, `history` and `runs`, does not import torch.
"""

from offline.errors import DataError, ExportError, OfflineError, RunError

__all__ = ["DataError", "ExportError", "OfflineError", "RunError"]
