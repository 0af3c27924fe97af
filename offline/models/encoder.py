"""The sequence encoder: a causal transformer over a user's last events that predicts the next item.

After SASRec (Kang and McAuley, 2018): a token is the sum of the embeddings of the item, of whether the event is
positive, and of the position; the output is tied to the item embeddings, with a bias for each item. Some of them,
trained from different random numbers, are served as one: the mean of their scores is still an inner product.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from settings import TrainSettings


class Attention(nn.Module):
    """Causal self-attention, [B, L, D] -> [B, L, D]; without dropout, whose random numbers took a third of a step."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.width = heads, dim // heads
        self.project = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        split = self.project(x).unflatten(2, (3, self.heads, self.width)).permute(2, 0, 3, 1, 4)
        query, key, value = split[0], split[1], split[2]
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out

    def at(self, x: Tensor, place: Tensor) -> Tensor:
        """The result at one place of each sequence, INT64 [B], without that of the others: [B, L, D] -> [B, 1, D]."""
        dim, length = self.heads * self.width, x.shape[1]
        weight, bias = self.project.weight, self.project.bias
        query = F.linear(_of(x, place), weight[:dim], bias[:dim]).view(-1, 1, self.heads, self.width).transpose(1, 2)
        both = F.linear(x, weight[dim:], bias[dim:]).view(-1, length, 2, self.heads, self.width)
        split = both.permute(2, 0, 3, 1, 4)
        past = torch.arange(length, device=x.device) <= place[:, None]
        mixed = F.scaled_dot_product_attention(query, split[0], split[1], attn_mask=past[:, None, None])
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out


class Block(nn.Module):
    """A transformer layer, normalised before each part."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.before_mlp = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.mlp[2].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.before_attention(x)))
        out: Tensor = x + self.dropout(self.mlp(self.before_mlp(x)))
        return out

    def at(self, x: Tensor, place: Tensor) -> Tensor:
        """The result at one place of each sequence, INT64 [B]: [B, L, D] -> [B, 1, D]."""
        here = _of(x, place) + self.dropout(self.attention.at(self.before_attention(x), place))
        out: Tensor = here + self.dropout(self.mlp(self.before_mlp(here)))
        return out


def _of(x: Tensor, place: Tensor) -> Tensor:
    """One place of each sequence: [B, L, D] -> [B, 1, D]."""
    return x.gather(1, place[:, None, None].expand(-1, 1, x.shape[2]))


class Encoder(nn.Module):
    """Inputs are `items` and `liked` of `scoring.Users`; the output of a user is [vector, 1].

    An item outside the table, or never seen in training, is the unknown item 0, which training puts in the place of
    some items at random.

    Args:
        items: numbers of the items that occur in training, INT64.
        size: rows of the item table, `Numbering.size`.
        settings: shape and dropout.
    """

    def __init__(self, items: Tensor, size: int, settings: TrainSettings) -> None:
        super().__init__()
        dim = settings.dim
        self.size, self.history = size, settings.history
        self.items = nn.Embedding(size, dim)
        self.bias = nn.Parameter(torch.zeros(size))
        self.liked = nn.Embedding(2, dim)
        self.position = nn.Embedding(settings.history, dim)
        self.dropout = nn.Dropout(settings.dropout)
        self.blocks = nn.ModuleList(Block(dim, settings.heads, settings.dropout) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(dim)
        known = torch.zeros(size, dtype=torch.int64)
        known[items] = items
        self.known: Tensor
        self.register_buffer("known", known)
        nn.init.normal_(self.items.weight, std=dim**-0.5)
        for table in (self.liked, self.position):
            nn.init.normal_(table.weight, std=0.1)

    def hidden(self, items: Tensor, liked: Tensor) -> Tensor:
        """States after each event, FP32 [B, L, D]; `items` are rows of the table."""
        x = self.embedded(items, liked)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.norm(x)
        return out

    def embedded(self, items: Tensor, liked: Tensor) -> Tensor:
        """The tokens, FP32 [B, L, D]; `items` are rows of the table."""
        x = (
            self.items(items) * self.items.embedding_dim**0.5
            + self.liked(liked)
            + self.position.weight[: items.shape[1]]
        )
        out: Tensor = self.dropout(x)
        return out

    def forward(self, items: Tensor, liked: Tensor) -> Tensor:
        """User vectors, FP32 [B, D + 1]; `items` and `liked` INT64 [B, history], right-padded with 0."""
        length = (items > 0).sum(1)
        inside = torch.where((items > 0) & (items < self.size), items, 0)
        x = self.embedded(self.known[inside], liked.clamp(0, 1))
        *blocks, last = self.blocks
        for block in blocks:
            x = block(x)
        # The last layer is needed after the last event alone, which saves two fifths of the time with two layers.
        assert isinstance(last, Block)
        vector = self.norm(last.at(x, (length - 1).clamp(min=0)))[:, 0]
        return torch.cat([vector, torch.ones_like(vector[:, :1])], 1)

    def item_vectors(self) -> Tensor:
        """[embedding, bias] of each row of the table, FP32 [size, D + 1]."""
        return torch.cat([self.items.weight, self.bias[:, None]], 1).detach()


class Ensemble(nn.Module):
    """The mean of the scores of M encoders; inputs as theirs, the output of a user is [their vectors, 1]."""

    def __init__(self, members: Iterable[Encoder]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    @property
    def history(self) -> int:
        """Events that the encoders see."""
        return self.encoders()[0].history

    def encoders(self) -> list[Encoder]:
        """The members."""
        return [member for member in self.members if isinstance(member, Encoder)]

    def forward(self, items: Tensor, liked: Tensor) -> Tensor:
        """User vectors, FP32 [B, M * D + 1]; `items` and `liked` INT64 [B, history], right-padded with 0."""
        vectors = [member(items, liked) for member in self.members]
        return torch.cat([*(vector[:, :-1] for vector in vectors), vectors[0][:, -1:]], 1)

    def item_vectors(self) -> Tensor:
        """[embeddings, bias] of each row of the table, FP32 [size, M * D + 1]."""
        vectors = [member.item_vectors() / len(self.members) for member in self.encoders()]
        bias = torch.stack([vector[:, -1:] for vector in vectors]).sum(0)
        return torch.cat([*(vector[:, :-1] for vector in vectors), bias], 1)
