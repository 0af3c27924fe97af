"""The quality of an encoder on validation events while it trains, from arrays alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from features.dataset.codes import Codes
from offline.data.readers import Ints
from offline.data.windows import Sequences
from offline.models.encoder import Encoder, Ensemble

BATCH = 256


@dataclass(frozen=True)
class Validation:
    """Histories before some events, each of the events of an earlier second, and the items wanted.

    Attributes:
        items, liked: the encoder's inputs, INT64 [B, history].
        seen_row, seen_item: what was hidden from the users, INT64 [seen]; rows ascending.
        wanted: INT64 [B].
    """

    items: Ints
    liked: Ints
    seen_row: Ints
    seen_item: Ints
    wanted: Ints

    @classmethod
    def of(cls, codes: Codes, events: Sequences, places: Ints, history: int) -> Validation:
        """Take the events at `places` of `events`, ascending."""
        user = events.user_of_event()
        begins = np.ones(len(user), dtype=bool)
        begins[1:] = (np.diff(events.ts) != 0) | (np.diff(user) != 0)
        first_of_second = np.flatnonzero(begins)[np.cumsum(begins) - 1]
        end, start = first_of_second[places], events.start[user[places]]
        known = end - start
        place = np.maximum(end - history, start)[:, None] + np.arange(history)
        inside = place < end[:, None]
        place = np.where(inside, place, 0)
        row = np.repeat(np.arange(len(places)), known)
        past = start[row] + np.arange(len(row)) - np.repeat(np.cumsum(known) - known, known)
        hidden = codes.hides_array[events.code[past]]
        return cls(
            items=np.where(inside, events.item[place], 0),
            liked=(inside & events.positive[place]).astype(np.int64),
            seen_row=row[hidden],
            seen_item=events.item[past[hidden]],
            wanted=events.item[places],
        )

    @torch.inference_mode()
    def ranks(self, model: Encoder | Ensemble) -> Ints:
        """Place of each wanted item in the order of the whole catalogue without what was hidden, INT64 [B]."""
        device = next(model.parameters()).device
        vectors = model.item_vectors().to(device)
        found = []
        for start in range(0, len(self.wanted), BATCH):
            part = slice(start, start + BATCH)
            items, liked, wanted = (
                torch.from_numpy(values[part]).to(device) for values in (self.items, self.liked, self.wanted)
            )
            score = model(items, liked) @ vectors.T
            low, high = np.searchsorted(self.seen_row, [start, start + BATCH])
            score[self.seen_row[low:high] - start, self.seen_item[low:high]] = -torch.inf
            found.append((score[:, 1:] > score.gather(1, wanted[:, None])).sum(1).cpu().numpy())
        return np.concatenate(found) if found else np.empty(0, dtype=np.int64)
