"""The events that the encoder learns to predict, and how much each counts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.dataset.codes import Codes
from offline.data.history import Floats
from offline.data.windows import Sequences

Bools = npt.NDArray[np.bool_]


def weights(codes: Codes, events: Sequences) -> Floats:
    """Weights of events as targets, FP32 [events].

    A discovery weighs as the weightiest positive event of the user with the item, of a type that is a target, and all
    others weigh 1; divided by the mean weight of discoveries, so that types of great weight do not raise the learning
    rate.
    """
    out = np.ones(len(events.item), dtype=np.float32)
    found = events.target
    if not found.any() or len({*codes.weight_array[codes.target_array].tolist()}) <= 1:
        return out
    _, pair = np.unique(_pair(events), return_inverse=True)
    most = np.zeros(pair.max() + 1, dtype=np.float32)
    positive = codes.target_array[events.code]
    np.maximum.at(most, pair[positive], codes.weight_array[events.code[positive]])
    out[found] = most[pair[found]] / most[pair[found]].mean()
    return out


def firsts(events: Sequences) -> Bools:
    """True for the first event of a user with an item, [events]."""
    _, first = np.unique(_pair(events), return_index=True)
    out = np.zeros(len(events.item), dtype=bool)
    out[first] = True
    return out


def _pair(events: Sequences) -> npt.NDArray[np.int64]:
    """A number for the user and the item of each event, INT64 [events]."""
    user = events.user_of_event()
    pair: npt.NDArray[np.int64] = user * (int(events.item.max(initial=0)) + 1) + events.item
    return pair
