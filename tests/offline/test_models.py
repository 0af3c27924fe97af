from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from features import encoder_input
from offline import encoder_training, export, ranker_training
from offline.data import Ratings
from offline.encoder import Encoder
from offline.errors import ExportError
from offline.ranker import Ranker
from offline.softmax import NextItemLoss
from offline.split import Split
from offline.windows import Sequences, sequences, windows
from settings import Settings, TrainSettings

# Threads that wait for each other lose more than they win on models this small.
torch.set_num_threads(1)

SMALL = TrainSettings(dim=16, layers=1, heads=2, encoder_epochs=3, encoder_batch=16)


@pytest.fixture
def encoder(ratings: Ratings) -> Encoder:
    torch.manual_seed(0)
    return Encoder(torch.from_numpy(np.unique(ratings.itemid)), 121, SMALL).eval()


def test_windows_hold_every_position_once(ratings: Ratings, parts: Split) -> None:
    events = sequences(ratings, parts.fit)
    for seed in range(3):
        cut = windows(events, 20, np.random.default_rng(seed))
        assert cut.n.min() >= 1
        assert cut.n.max() <= 20
        positions = np.concatenate([np.arange(start, start + n) for start, n in zip(cut.start, cut.n, strict=True)])
        expected = np.setdiff1d(np.arange(len(events.itemid)), events.start[1:] - 1)
        assert np.array_equal(np.sort(positions), expected)
        of_user = np.searchsorted(events.start, cut.start, "right") - 1
        assert np.array_equal(cut.user_start, events.start[of_user])
        assert (cut.start + cut.n < events.start[of_user + 1]).all()


def test_the_next_item_loss_equals_the_obvious_one() -> None:
    torch.manual_seed(0)
    rows, length, dim, size = 5, 7, 4, 30
    hidden, table, bias = (
        torch.randn(*shape, requires_grad=True) for shape in ((rows, length, dim), (size, dim), (size,))
    )
    drawn = torch.stack([torch.randperm(size - 1)[: length + 1] + 1 for _ in range(rows)])
    items, target = drawn[:, :-1].contiguous(), drawn[:, 1:].contiguous()
    # A target that was seen before stays in the softmax.
    before_row, before_item = torch.tensor([0, 0, 3]), torch.tensor([5, int(target[0, 3]), 11])
    weight = torch.rand(rows, length)
    weight[2, 4:] = 0
    loss = NextItemLoss.apply(hidden, table, bias, items, target, weight, before_row, before_item, 2)
    loss.backward()
    fast = [tensor.grad for tensor in (hidden, table, bias)]

    hidden_, table_, bias_ = (tensor.detach().clone().requires_grad_() for tensor in (hidden, table, bias))
    masked = torch.zeros(rows, length, size, dtype=torch.bool)
    masked[:, :, 0] = True
    masked[before_row, :, before_item] = True
    for place in range(length):
        masked[:, place].scatter_(1, items[:, : place + 1], True)
    masked.scatter_(2, target[..., None], False)
    logits = (hidden_ @ table_.T + bias_).masked_fill(masked, -torch.inf)
    each = F.cross_entropy(logits.view(-1, size), target.reshape(-1), reduction="none").view(rows, length)
    expected = (each * weight).sum() / weight.sum()
    torch.autograd.backward(expected)
    torch.testing.assert_close(loss, expected)
    for ours, theirs in zip(fast, (hidden_.grad, table_.grad, bias_.grad), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_an_event_does_not_change_the_state_before_it(encoder: Encoder) -> None:
    items = torch.arange(1, 21)[None]
    other = items.clone()
    other[0, 10:] = 50
    liked = torch.ones_like(items)
    with torch.inference_mode():
        first, second = encoder.hidden(items, liked), encoder.hidden(other, liked)
    torch.testing.assert_close(first[:, :10], second[:, :10])
    assert not torch.allclose(first[:, 10], second[:, 10])


def test_padding_does_not_change_the_user_vector(encoder: Encoder) -> None:
    items, liked = encoder_input([(1, 5, 5), (2, 9, 3), (3, 7, 4)])
    with torch.inference_mode():
        vector = encoder(torch.from_numpy(items), torch.from_numpy(liked))
        hidden = encoder.hidden(torch.tensor([[5, 9, 7]]), torch.tensor([[1, 0, 1]]))
    torch.testing.assert_close(vector[:, :-1], hidden[:, -1])
    assert vector[0, -1] == 1.0


def test_unknown_items_all_mean_the_same_and_none_breaks_the_encoder(encoder: Encoder) -> None:
    histories = [[], [(1, 999, 5)], [(1, 2**31 - 1, 5)], [(1, 5, 5), (2, 999, 5)], [(1, 5, 5), (2, 998, 5)]]
    inputs = [encoder_input(history) for history in histories]
    items, liked = (torch.from_numpy(np.concatenate(parts)) for parts in zip(*inputs, strict=True))
    with torch.inference_mode():
        vectors = encoder(items, liked)
    assert torch.isfinite(vectors).all()
    torch.testing.assert_close(vectors[1], vectors[2])
    torch.testing.assert_close(vectors[3], vectors[4])
    assert not torch.allclose(vectors[0], vectors[3])


def test_the_encoder_learns_a_sequence() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    users, length = 60, 15
    starts = rng.integers(0, 30, users)
    itemid = ((starts[:, None] + np.arange(length)) % 30 + 1).reshape(-1)
    events = Sequences(
        itemid=itemid,
        liked=np.ones_like(itemid),
        ts=np.arange(len(itemid)),
        start=np.arange(users + 1) * length,
        userid=np.arange(users),
    )
    settings = TrainSettings(dim=16, layers=1, heads=2, encoder_epochs=20, encoder_batch=8)
    model = Encoder(torch.arange(1, 31), 31, settings)
    encoder_training.fit(model, events, settings, lambda step, steps, loss: None)
    items, liked = encoder_input([(1, 3, 5), (2, 4, 5), (3, 5, 5)])
    with torch.no_grad():
        scores = model(torch.from_numpy(items), torch.from_numpy(liked)) @ model.item_vectors().T
    scores[0, [3, 4, 5]] = -torch.inf
    assert int(scores.argmax()) == 6


def ranker() -> Ranker:
    torch.manual_seed(0)
    model = Ranker(10, torch.randn(8, 5), torch.zeros(32), torch.ones(32))
    model.weight.fill_(0.3)
    return model.eval()


def test_the_score_combines_both_heads() -> None:
    model, vector, dense = ranker(), torch.randn(3, 5), torch.randn(3, 32)
    ids = torch.tensor([[1, 2, 0, 3, 20], [9, 7, 1, 6, 0], [4, 1, -1, -1, -1]])
    with torch.inference_mode():
        following, like, score = model(vector, ids, dense)
    torch.testing.assert_close(following, (vector * model.item_vectors[ids[:, 1]]).sum(1))
    torch.testing.assert_close(score, following + 0.3 * torch.logit(like))


def test_unknown_users_and_items_are_row_0_of_the_ranker() -> None:
    model, vector, dense = ranker(), torch.randn(1, 5), torch.randn(1, 32)
    with torch.inference_mode():
        scores = [
            model(vector, torch.tensor([[userid, itemid, -1, -1, -1]]), dense)[2]
            for userid, itemid in ((0, 0), (10, 8), (2**31 - 1, 2**31 - 1), (-1, -5))
        ]
    for score in scores[1:]:
        torch.testing.assert_close(score, scores[0])


def test_the_ranker_learns(generated: Settings) -> None:
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(4000, 32)).astype(np.float32)
    label = (dense[:, 3] > 0).astype(np.float32)
    ids = np.column_stack([rng.integers(1, 10, (4000, 2)) % 8, np.full((4000, 3), -1)])
    model = ranker()
    settings = TrainSettings(ranker_batch=128, ranker_epochs=3)
    ranker_training.fit(model, ids, dense, label, settings, lambda step, steps, loss: None)
    like = ranker_training.like(model, ids, dense)
    assert ((like > 0.5) == (label > 0.5)).mean() > 0.95


def test_an_exported_model_that_answers_otherwise_is_refused(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Mul", ["x", "x"], ["y"])
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2]) for name in "xy"]
    opset = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "square", value[:1], value[1:]), opset_imports=opset, ir_version=10
    )
    path = tmp_path / "square" / "model.onnx"
    path.parent.mkdir()
    onnx.save(model, path)
    given = {"x": np.array([2.0, 3.0], dtype=np.float32)}
    assert export.check_parity(path, given, [torch.tensor([4.0, 9.0])]) == 0.0
    for wrong in (9.001, float("nan")):
        with pytest.raises(ExportError, match="square: y differs"):
            export.check_parity(path, given, [torch.tensor([4.0, wrong])])
