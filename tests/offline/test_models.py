from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from offline.data.readers import Ratings
from offline.data.split import Split
from offline.data.windows import Sequences, sequences, windows
from offline.errors import ExportError
from offline.models import export, similar
from offline.models.encoder import Encoder, Ensemble
from offline.models.neighbours import Neighbours
from offline.models.p_like import INPUTS, PLike
from offline.models.ranker import Ranker
from offline.models.reranker import DAMPING, HALF_LIVES, Reranker
from offline.models.similar import Near
from offline.models.softmax import NextItemLoss
from offline.train import encoder_training, p_like_training, parallel
from offline.train.encoder_training import Plan
from offline.train.ensemble import Best
from offline.train.validation import Validation
from scoring.inputs import attributes_of, pair_ids
from settings import TrainSettings
from tests.offline.conftest import encoder_input

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
    n, dim, size = 300, 4, 30
    hidden, table, bias = (torch.randn(*shape, requires_grad=True) for shape in ((n, dim), (size, dim), (size,)))
    target = torch.randint(1, size, (n,))
    seen_row = torch.randint(0, n, (2 * n,)).sort().values
    # Some targets were seen before; they stay in the softmax.
    seen_item = torch.where(torch.rand(2 * n) < 0.2, target[seen_row], torch.randint(1, size, (2 * n,)))
    loss = NextItemLoss.apply(hidden, table, bias, target, seen_row, seen_item, torch.float32)
    loss.backward()
    fast = [tensor.grad for tensor in (hidden, table, bias)]

    hidden_, table_, bias_ = (tensor.detach().clone().requires_grad_() for tensor in (hidden, table, bias))
    masked = torch.zeros(n, size, dtype=torch.bool)
    masked[:, 0] = True
    masked[seen_row, seen_item] = True
    masked.scatter_(1, target[:, None], False)
    expected = F.cross_entropy((hidden_ @ table_.T + bias_).masked_fill(masked, -torch.inf), target)
    torch.autograd.backward(expected)
    torch.testing.assert_close(loss, expected)
    for ours, theirs in zip(fast, (hidden_.grad, table_.grad, bias_.grad), strict=True):
        torch.testing.assert_close(ours, theirs)

    halved = [tensor.detach().clone().requires_grad_() for tensor in (hidden, table, bias)]
    NextItemLoss.apply(*halved, target, seen_row, seen_item).backward()
    for tensor, exact in zip(halved, fast, strict=True):
        assert tensor.grad is not None and exact is not None
        assert F.cosine_similarity(tensor.grad.view(1, -1), exact.view(1, -1)).item() > 0.999


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
    items, liked = map(torch.from_numpy, encoder_input(*histories))
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
        rating=np.full_like(itemid, 5),
        ts=np.arange(len(itemid)),
        start=np.arange(users + 1) * length,
        userid=np.arange(users),
    )
    model = Encoder(torch.arange(1, 31), 31, SMALL)
    encoder_training.fit(model, events, Plan(20, 8, 7e-3, 0), lambda step, steps, loss: None)
    items, liked = encoder_input([(1, 3, 5), (2, 4, 5), (3, 5, 5)])
    with torch.no_grad():
        scores = model(torch.from_numpy(items), torch.from_numpy(liked)) @ model.item_vectors().T
    scores[0, [3, 4, 5]] = -torch.inf
    assert int(scores.argmax()) == 6


def test_the_mean_of_encoders_is_one_inner_product(ratings: Ratings) -> None:
    torch.manual_seed(0)
    members = [Encoder(torch.from_numpy(np.unique(ratings.itemid)), 121, SMALL).eval() for _ in range(2)]
    for member in members:
        torch.nn.init.normal_(member.bias)
    together = Ensemble(members)
    items, liked = map(torch.from_numpy, encoder_input([(1, 5, 5), (2, 9, 3)]))
    with torch.inference_mode():
        score = together(items, liked) @ together.item_vectors().T
        each = [member(items, liked) @ member.item_vectors().T for member in members]
    torch.testing.assert_close(score, (each[0] + each[1]) / 2)


def test_training_that_was_broken_off_goes_on_from_the_last_epoch(
    ratings: Ratings, parts: Split, tmp_path: Path
) -> None:
    events, plan = sequences(ratings, parts.fit), Plan(3, 16, 7e-3, 0)
    itemids = torch.from_numpy(np.unique(events.itemid))

    def trained(checkpoint: Path | None, stop_after: int | None = None) -> dict[str, torch.Tensor]:
        torch.manual_seed(1)
        model = Encoder(itemids, 121, SMALL)
        epochs: list[int] = []

        def progress(step: int, steps: int, loss: float) -> None:
            if epochs and epochs[-1] == stop_after:
                raise KeyboardInterrupt

        def epoch_done(epoch: int) -> bool:
            epochs.append(epoch)
            return True

        encoder_training.fit(model, events, plan, progress, epoch_done, checkpoint)
        return model.state_dict()

    whole = trained(None)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "encoder.pt", stop_after=2)
    for name, value in trained(tmp_path / "encoder.pt").items():
        torch.testing.assert_close(value, whole[name])


def test_training_stops_where_validation_gets_no_better_and_takes_the_best_epoch(
    ratings: Ratings, parts: Split
) -> None:
    events = sequences(ratings, parts.fit)
    torch.manual_seed(0)
    model = Encoder(torch.from_numpy(np.unique(events.itemid)), 121, SMALL)
    best, weights = Best(model, patience=2), {}
    values = dict(enumerate((0.1, 0.3, 0.2, 0.3, 0.9), 1))

    def epoch_done(epoch: int) -> bool:
        weights[epoch] = model.bias.detach().clone()
        return best.goes_on(values[epoch])

    encoder_training.fit(model, events, Plan(5, 16, 7e-3, 0), lambda *told: None, epoch_done)
    best.take()
    assert list(weights) == [1, 2, 3, 4]
    torch.testing.assert_close(model.bias.detach(), weights[2])
    assert not torch.allclose(weights[4], weights[2])


def test_watched_histories_are_those_of_earlier_seconds(ratings: Ratings, parts: Split) -> None:
    events = sequences(ratings, parts.train)
    itemids = np.array(sorted(ratings.catalogue.items))
    places = np.arange(len(events.itemid))[::37]
    watch = Validation.of(events, places, 20, itemids)
    user = np.searchsorted(events.start, places, "right") - 1
    for row, place in enumerate(places):
        of_user = np.arange(events.start[user[row]], events.start[user[row] + 1])
        earlier = of_user[events.ts[of_user] < events.ts[place]]
        assert set(watch.seen_item[watch.seen_row == row]) == set(events.itemid[earlier])
        assert watch.items[row][watch.items[row] > 0].tolist() == events.itemid[earlier][-20:].tolist()


HISTORY = 12


def ranker() -> Ranker:
    torch.manual_seed(0)
    likes = [PLike(10, 8, torch.zeros(INPUTS), torch.ones(INPUTS)) for _ in range(2)]
    near = Near(8)
    near.set_tables(similar.Similar(torch.full((8,), 3.5), torch.rand(8, 8).half()))
    order = Reranker(torch.arange(1, 8), 8)
    tables = np.random.default_rng(0).random((2, 7, 7)).astype(np.float32)
    order.set_neighbours(Neighbours(*tables))
    torch.nn.init.normal_(order.linear.weight, std=0.1)
    return Ranker(likes, near, order, torch.randn(8, 5)).eval()


def pairs(n: int) -> tuple[torch.Tensor, ...]:
    """Inputs of the ranker but `ids`: two users, the first with a history of 3, the second without."""
    items, rating = torch.zeros(2, HISTORY, dtype=torch.int64), torch.zeros(2, HISTORY, dtype=torch.int64)
    items[0, :3], rating[0, :3] = torch.tensor([3, 5, 1]), torch.tensor([5, 1, 4])
    return torch.randn(2, 5), items, rating, torch.arange(n) % 2, torch.rand(n, 32)


def test_next_is_the_encoders_score_and_like_a_mean() -> None:
    model, ids = ranker(), torch.tensor([[1, 2, 0, 3, 20], [9, 7, 1, 6, 0], [4, 1, -1, -1, -1]])
    vector, items, rating, row, dense = pairs(3)
    with torch.inference_mode():
        following, like, score = model(vector, items, rating, row, ids, dense)
        inputs = torch.cat([dense, model.near(items, rating, row, torch.tensor([2, 7, 1]))], 1)
        each = [one(one.taste(items, rating)[row], ids, inputs) for one in model.like_models()]
    torch.testing.assert_close(following, (vector[row] * model.item_vectors[ids[:, 1]]).sum(1))
    torch.testing.assert_close(torch.logit(like), (each[0] + each[1]) / 2)
    assert not torch.allclose(score, following)


def test_the_order_counts_what_follows_the_last_events() -> None:
    model = ranker()
    vector, items, rating, row, dense = pairs(2)
    ids = torch.tensor([[1, 2, 0, 3, 20], [1, 2, 0, 3, 20]])
    with torch.inference_mode():
        inputs = model.parts(vector, items, rating, row, ids, dense)[3]
    follows = model.reranker.follows.view(8, 8).float()
    after = follows / (follows.sum(1, keepdim=True) + DAMPING)
    for place, life in enumerate(HALF_LIVES):
        expected = sum(0.5 ** (age / life) * after[item - 1, 1].item() for age, item in enumerate((1, 5, 3)))
        assert inputs[0, place].item() == pytest.approx(np.log(expected + 1e-3), abs=1e-3)
    assert inputs[1, 0].item() == pytest.approx(np.log(1e-3))


def test_unknown_users_and_items_are_row_0_of_the_ranker() -> None:
    model = ranker()
    vector, items, rating, row, dense = pairs(1)
    items[0, 3], rating[0, 3] = 2**31 - 1, 5
    with torch.inference_mode():
        scores = [
            model(vector, items, rating, row, torch.tensor([[userid, itemid, -1, -1, -1]]), dense)[2]
            for userid, itemid in ((0, 0), (10, 8), (2**31 - 1, 2**31 - 1), (-1, -5))
        ]
    for score in scores[1:]:
        torch.testing.assert_close(score, scores[0])


def test_tastes_of_blocks_are_those_of_histories(ratings: Ratings) -> None:
    events = sequences(ratings, np.arange(len(ratings)))
    userid = np.repeat(events.userid, np.diff(events.start))
    ids = pair_ids(userid, attributes_of(ratings.catalogue, userid), events.itemid)
    rng = np.random.default_rng(0)
    known = p_like_training.Pairs(events, ids, rng.random((len(ids), INPUTS)).astype(np.float32))
    model = PLike(81, 121, torch.zeros(INPUTS), torch.ones(INPUTS)).eval()
    places = np.sort(rng.choice(len(ids), 200, replace=False))
    fast = p_like_training.logits(model, known, places, HISTORY)
    user = np.searchsorted(events.start, places, "right") - 1
    items, rating = np.zeros((2, 200, HISTORY), dtype=np.int64)
    for row, place in enumerate(places):
        of = np.arange(max(events.start[user[row]], place - HISTORY), place)
        items[row, : len(of)], rating[row, : len(of)] = events.itemid[of], events.rating[of]
    with torch.inference_mode():
        taste = model.taste(torch.from_numpy(items), torch.from_numpy(rating))
        slow = model(taste, torch.from_numpy(ids[places]), torch.from_numpy(known.inputs[places]))
    np.testing.assert_allclose(fast, slow.numpy(), atol=1e-4)


def test_p_like_is_learned() -> None:
    rng = np.random.default_rng(0)
    n = 4000
    inputs = rng.normal(size=(n, INPUTS)).astype(np.float32)
    liked = inputs[:, 3] > 0
    ids = np.column_stack([rng.integers(1, 10, (n, 2)) % 8, np.full((n, 3), -1)])
    events = Sequences(ids[:, 1], np.where(liked, 5, 2), np.arange(n), np.arange(0, n + 1, 100), np.arange(n // 100))
    known, places = p_like_training.Pairs(events, ids, inputs), np.arange(n)
    task = p_like_training.Task(
        10, 8, known, places, p_like_training.Schedule(10, epochs=3, batch=128, rate=5e-3), seed=0
    )
    model = task.trained(task(lambda what: None))
    logit = p_like_training.logits(model, known, places, 10)
    assert ((logit > 0) == liked).mean() > 0.95


def test_tasks_side_by_side_tell_and_return() -> None:
    told: list[tuple[int, object]] = []
    workers = parallel.Workers(2)
    results = workers.run([partial(square, n) for n in (2, 3)], lambda number, what: told.append((number, what)))
    assert results == [4, 9]
    assert workers.peak_mb > 0
    assert sorted(told) == [(0, "at 2"), (1, "at 3")]


def square(n: int, told: parallel.Told) -> int:
    told(f"at {n}")
    return n * n


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
