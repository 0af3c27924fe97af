"""The ranker: P(like) by the mean of some models, and the order of the list, which keeps P(next)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from offline.models import softmax
from offline.models.p_like import PLike, rows_of
from offline.models.reranker import Reranker
from offline.models.similar import Near


class Ranker(nn.Module):
    """Scores pairs of a user and an item.

    Inputs: of each of U users `user_vector` FP32 [U, D + 1] of the encoder and the last events, their items `items` and
    their codes `rating`, INT64 [U, history], right-padded with 0; of each of N pairs `row` INT64 [N], the row of its
    user, `ids` INT64 [N, columns] as in `Schema.ids`, `dense` FP32 [N, columns] as in `Schema.dense_columns`. Outputs,
    FP32 [N] each: `next`, the encoder's score; `like`, P(like); `score`, by which lists are ordered. Users and items
    are numbers; those outside the tables are unknown.

    Args:
        likes: the models of P(like).
        near: what similar items say, for all of them.
        reranker: orders the list.
        item_vectors: the encoder's, FP32 [rows of the item table, D + 1].
    """

    def __init__(self, likes: Iterable[PLike], near: Near, reranker: Reranker, item_vectors: Tensor) -> None:
        super().__init__()
        self.likes = nn.ModuleList(likes)
        self.near = near
        self.reranker = reranker
        self.item_vectors: Tensor
        self.catalogue: Tensor | None
        self.register_buffer("item_vectors", item_vectors)
        self.register_buffer("catalogue", sample_of(item_vectors))

    def set_item_vectors(self, vectors: Tensor) -> None:
        """Take other vectors of the items."""
        self.item_vectors.copy_(vectors)
        self.catalogue = sample_of(vectors)

    def like_models(self) -> list[PLike]:
        """The models of P(like)."""
        return [model for model in self.likes if isinstance(model, PLike)]

    def like_logit(self, items: Tensor, rating: Tensor, row: Tensor, ids: Tensor, dense: Tensor) -> Tensor:
        """logit(P(like)), FP32 [N]."""
        models = self.like_models()
        near = self.near(items, rating, row, rows_of(ids[:, 1], models[0].item))
        inputs = torch.cat([dense, near], 1)
        return torch.stack([model(model.taste(items, rating)[row], ids, inputs) for model in models]).mean(0)

    def forward(
        self, user_vector: Tensor, items: Tensor, rating: Tensor, row: Tensor, ids: Tensor, dense: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(next, like, score)."""
        following, probability, logit, inputs = self.parts(user_vector, items, rating, row, ids, dense)
        return following, torch.sigmoid(logit), self.reranker.combine(following, probability, inputs)

    def parts(
        self, user_vector: Tensor, items: Tensor, rating: Tensor, row: Tensor, ids: Tensor, dense: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(next, its log-probability over the catalogue, logit(P(like)), inputs of the order)."""
        item = rows_of(ids[:, 1], self.like_models()[0].item)
        following = (user_vector[row] * self.item_vectors[item]).sum(1)
        catalogue = self.item_vectors if self.catalogue is None else self.catalogue
        probability = following - torch.logsumexp(user_vector @ catalogue.T, 1)[row]
        logit = self.like_logit(items, rating, row, ids, dense)
        return following, probability, logit, self.reranker.inputs(items, row, item, logit, dense)


def sample_of(vectors: Tensor) -> Tensor | None:
    """Vectors of some items whose shares of the encoder's softmax add up to those of all, on average.

    Args:
        vectors: of all items, each with its bias at the end, FP32 [size, D + 1].

    Returns:
        FP32 [n, D + 1], the shares in their biases; None where there are so few items that none is left out.
    """
    size = len(vectors)
    if size <= softmax.ALL:
        return None
    share = 0.5 * torch.softmax(vectors[:, -1], 0) + 0.5 / size
    probability = (softmax.SAMPLED * share).clamp(max=1.0)
    chosen = torch.rand(size, generator=torch.Generator().manual_seed(0)) < probability
    found = vectors[chosen].clone()
    found[:, -1] -= torch.log(probability[chosen])
    return found
