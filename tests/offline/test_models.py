from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from features.dataset.codes import Codes
from offline.data.readers import Ratings
from offline.data.split import Split
from offline.data.windows import Sequences, sequences, windows
from offline.models import softmax
from offline.models.encoder import Encoder, Ensemble
from offline.models.softmax import NextItemLoss, Sample, probabilities
from offline.models.targets import firsts, weights
from offline.train import encoder_training
from offline.train.encoder_training import Plan
from offline.train.ensemble import Best
from offline.train.validation import Validation
from settings import TrainSettings
from tests import shop as goods
from tests.movielens import SCHEMA
from tests.offline.conftest import encoder_input

# Threads that wait for each other lose more than they win on models this small.
torch.set_num_threads(1)

SMALL = TrainSettings(dim=16, layers=1, heads=2, encoder_epochs=3, encoder_batch=16)


@pytest.fixture
def encoder(ratings: Ratings) -> Encoder:
    torch.manual_seed(0)
    return Encoder(torch.from_numpy(np.unique(ratings.item)), ratings.items.size, SMALL).eval()


def events_of(item: np.ndarray, code: np.ndarray, length: int, codes: Codes = SCHEMA.codes) -> Sequences:
    """Events of users with so many each, a second apart; each positive one is a discovery."""
    positive, users = codes.positive_array[code], len(item) // length
    start = np.arange(users + 1) * length
    return Sequences(item, code, np.arange(len(item)), positive, positive, start, np.arange(1, users + 1))


def test_windows_hold_every_position_once(ratings: Ratings, parts: Split) -> None:
    events = sequences(ratings, parts.fit)
    for seed in range(3):
        cut = windows(events, 20, np.random.default_rng(seed))
        assert cut.n.min() >= 1
        assert cut.n.max() <= 20
        positions = np.concatenate([np.arange(start, start + n) for start, n in zip(cut.start, cut.n, strict=True)])
        expected = np.setdiff1d(np.arange(len(events.item)), events.start[1:] - 1)
        assert np.array_equal(np.sort(positions), expected)
        of_user = np.searchsorted(events.start, cut.start, "right") - 1
        assert np.array_equal(cut.user_start, events.start[of_user])
        assert (cut.start + cut.n < events.start[of_user + 1]).all()


def test_the_next_item_loss_equals_the_obvious_one() -> None:
    torch.manual_seed(0)
    n, dim, size = 300, 4, 30
    hidden, table, bias = (torch.randn(*shape, requires_grad=True) for shape in ((n, dim), (size, dim), (size,)))
    target, weight = torch.randint(1, size, (n,)), torch.rand(n) + 0.5
    seen_row = torch.randint(0, n, (2 * n,)).sort().values
    # Some targets were seen before; they stay in the softmax.
    seen_item = torch.where(torch.rand(2 * n) < 0.2, target[seen_row], torch.randint(1, size, (2 * n,)))
    loss = NextItemLoss.apply(hidden, table, bias, target, weight, seen_row, seen_item, None, torch.float32)
    loss.backward()
    fast = [tensor.grad for tensor in (hidden, table, bias)]

    hidden_, table_, bias_ = (tensor.detach().clone().requires_grad_() for tensor in (hidden, table, bias))
    masked = torch.zeros(n, size, dtype=torch.bool)
    masked[:, 0] = True
    masked[seen_row, seen_item] = True
    masked.scatter_(1, target[:, None], False)
    logits = (hidden_ @ table_.T + bias_).masked_fill(masked, -torch.inf)
    expected = (F.cross_entropy(logits, target, reduction="none") * weight).mean()
    torch.autograd.backward(expected)
    torch.testing.assert_close(loss, expected)
    for ours, theirs in zip(fast, (hidden_.grad, table_.grad, bias_.grad), strict=True):
        torch.testing.assert_close(ours, theirs)

    halved = [tensor.detach().clone().requires_grad_() for tensor in (hidden, table, bias)]
    NextItemLoss.apply(*halved, target, weight, seen_row, seen_item).backward()
    for tensor, exact in zip(halved, fast, strict=True):
        assert tensor.grad is not None and exact is not None
        assert F.cosine_similarity(tensor.grad.view(1, -1), exact.view(1, -1)).item() > 0.999


def test_the_sum_over_a_sample_of_items_is_right_on_average() -> None:
    torch.manual_seed(0)
    n, dim, size = 20, 4, 200
    hidden, table, bias = torch.randn(n, dim), torch.randn(size, dim), torch.randn(size)
    target = torch.randint(1, size, (n,))
    probability = torch.rand(size) * 0.5 + 0.2

    def sums(sample: Sample) -> torch.Tensor:
        """The sum of each position's softmax over a sample, FP64 [n]."""
        row, known = sample.rows_of(target)
        assert known.all() and (sample.items.diff() > 0).all() and sample.items[0] == 0
        logits = (hidden @ table[sample.items].T + bias[sample.items]).double()
        corrected = logits + sample.correction
        corrected[:, 0] = -torch.inf
        corrected[torch.arange(n), row] = logits[torch.arange(n), row]
        return corrected.exp().sum(1)

    every = (hidden @ table.T + bias).double()
    every[:, 0] = -torch.inf
    found = torch.stack([sums(Sample.of(probability, target)) for _ in range(2000)]).mean(0)
    torch.testing.assert_close(found, every.exp().sum(1), rtol=0.05, atol=0.0)
    certain = Sample.of(torch.ones(size), target)
    torch.testing.assert_close(sums(certain), every.exp().sum(1))


def test_a_step_over_a_sample_of_all_items_is_one_over_all(encoder: Encoder) -> None:
    rng = np.random.default_rng(0)
    item = rng.integers(1, encoder.size, 300)
    epoch = encoder_training.Epoch.of(SCHEMA.codes, events_of(item, np.full_like(item, 5), 30))
    cut = windows(epoch.events, 20, rng)
    batch = encoder_training._batch(epoch, cut, np.arange(len(cut)), rng)
    losses = []
    for sampled in (None, torch.ones(encoder.size)):
        model = Encoder(torch.from_numpy(np.unique(item)), encoder.size, SMALL)
        model.load_state_dict(encoder.state_dict())
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(3):
            torch.manual_seed(1)
            losses.append(encoder_training.train_step(model.eval(), optimizer, batch, sampled))
    assert losses[:3] == pytest.approx(losses[3:], rel=1e-3)
    assert losses[0] > losses[2]


def test_a_softmax_is_over_a_sample_of_many_items_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    item = torch.randint(1, 1000, (5000,))
    assert probabilities(item, 1000) is None
    monkeypatch.setattr(softmax, "ALL", 100)
    monkeypatch.setattr(softmax, "SAMPLED", 200)
    found = probabilities(item, 1000)
    assert found is not None and (found > 0).all() and (found <= 1).all()
    assert float(found.sum()) == pytest.approx(200, rel=0.01)


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


def test_the_user_vector_is_the_state_after_the_last_event(ratings: Ratings) -> None:
    torch.manual_seed(0)
    model = Encoder(torch.from_numpy(np.unique(ratings.item)), ratings.items.size, TrainSettings(dim=16, layers=3))
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    model.eval()
    histories = [[(ts, 1 + (7 * ts + length) % 40, 1 + ts % 5) for ts in range(length)] for length in (1, 2, 9, 20)]
    items, liked = map(torch.from_numpy, encoder_input(*histories))
    with torch.inference_mode():
        hidden = model.hidden(model.known[items], liked)
        vector = model(items, liked)
    last = (items > 0).sum(1) - 1
    torch.testing.assert_close(vector[:, :-1], hidden[torch.arange(4), last], rtol=1e-4, atol=1e-4)


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
    item = ((starts[:, None] + np.arange(length)) % 30 + 1).reshape(-1)
    events = events_of(item, np.full_like(item, 5), length)
    model = Encoder(torch.arange(1, 31), 31, SMALL)
    encoder_training.fit(model, SCHEMA.codes, events, Plan(20, 8, 7e-3, 0), lambda step, steps, loss: None)
    items, liked = encoder_input([(1, 3, 5), (2, 4, 5), (3, 5, 5)])
    with torch.no_grad():
        scores = model(torch.from_numpy(items), torch.from_numpy(liked)) @ model.item_vectors().T
    scores[0, [3, 4, 5]] = -torch.inf
    assert int(scores.argmax()) == 6


def test_the_mean_of_encoders_is_one_inner_product(ratings: Ratings) -> None:
    torch.manual_seed(0)
    known = torch.from_numpy(np.unique(ratings.item))
    members = [Encoder(known, ratings.items.size, SMALL).eval() for _ in range(2)]
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
    known = torch.from_numpy(np.unique(events.item))

    def trained(checkpoint: Path | None, stop_after: int | None = None) -> dict[str, torch.Tensor]:
        torch.manual_seed(1)
        model = Encoder(known, ratings.items.size, SMALL)
        epochs: list[int] = []

        def progress(step: int, steps: int, loss: float) -> None:
            if epochs and epochs[-1] == stop_after:
                raise KeyboardInterrupt

        def epoch_done(epoch: int) -> bool:
            epochs.append(epoch)
            return True

        encoder_training.fit(model, SCHEMA.codes, events, plan, progress, epoch_done, checkpoint)
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
    model = Encoder(torch.from_numpy(np.unique(events.item)), ratings.items.size, SMALL)
    best, weights = Best(model, patience=2), {}
    values = dict(enumerate((0.1, 0.3, 0.2, 0.3, 0.9), 1))

    def epoch_done(epoch: int) -> bool:
        weights[epoch] = model.bias.detach().clone()
        return best.goes_on(values[epoch])

    plan = Plan(5, 16, 7e-3, 0)
    encoder_training.fit(model, SCHEMA.codes, events, plan, lambda *told: None, epoch_done)
    best.take()
    assert list(weights) == [1, 2, 3, 4]
    torch.testing.assert_close(model.bias.detach(), weights[2])
    assert not torch.allclose(weights[4], weights[2])


def test_watched_histories_are_those_of_earlier_seconds(events: Ratings, events_parts: Split) -> None:
    codes, known = events.schema.codes, sequences(events, events_parts.train)
    places = np.arange(len(known))[::37]
    watch = Validation.of(codes, known, places, 20)
    user = np.searchsorted(known.start, places, "right") - 1
    for row, place in enumerate(places):
        of_user = np.arange(known.start[user[row]], known.start[user[row] + 1])
        earlier = of_user[known.ts[of_user] < known.ts[place]]
        hidden = earlier[[codes.hides[code] for code in known.code[earlier].tolist()]] if len(earlier) else earlier
        assert set(watch.seen_item[watch.seen_row == row]) == set(known.item[hidden])
        assert watch.items[row][watch.items[row] > 0].tolist() == known.item[earlier][-20:].tolist()
        assert watch.liked[row].sum() == known.positive[earlier][-20:].sum()


def test_a_viewed_item_is_ranked_and_a_bought_one_is_not() -> None:
    codes, view, purchase = goods.SCHEMA.codes, goods.VIEW, goods.PURCHASE
    known = events_of(np.array([1, 2, 3]), np.array([view, purchase, purchase]), 3, codes)
    model = Encoder(torch.tensor([1, 2, 3]), 4, SMALL).eval()
    with torch.no_grad():
        model.bias[:] = torch.tensor([0.0, 300.0, 200.0, 100.0])  # whatever the history, in this order
    [rank] = Validation.of(codes, known, np.array([2]), 20).ranks(model)
    assert rank == 1  # behind the item that was viewed


def test_what_hides_is_left_out_of_the_loss_and_first_events_are_its_targets(
    shop_events: Ratings, shop_parts: Split
) -> None:
    codes, events = shop_events.schema.codes, sequences(shop_events, shop_parts.fit)
    epoch, cut = encoder_training.Epoch.of(codes, events), windows(events, 20, np.random.default_rng(0))
    chosen = np.arange(len(cut))
    batch = encoder_training._batch(epoch, cut, chosen, np.random.default_rng(0))
    positions = [(cut.start[window] + place, window) for window in chosen for place in range(20)]
    kept = [positions[place] for place in _places(batch.kept.numpy(), int(cut.n[chosen].max()))]
    assert len(kept) > 100
    for row, (place, window) in enumerate(kept):
        past = np.arange(cut.user_start[window], place + 1)
        assert events.item[place + 1] not in events.item[past]
        assert batch.target[row] == events.item[place + 1]
        hidden = {item for item, code in zip(events.item[past], events.code[past], strict=True) if codes.hides[code]}
        assert {*batch.seen_item[batch.seen_row == row].tolist()} == hidden
    discoveries = {place for place, _ in kept if events.target[place + 1]}
    windowed = {at for window in chosen for at in range(cut.start[window], cut.start[window] + cut.n[window])}
    assert discoveries == {place for place in windowed if events.target[place + 1]}


def _places(kept: np.ndarray, length: int) -> np.ndarray:
    """Kept places of windows that are `length` wide, as those of windows that are 20 wide."""
    return kept // length * 20 + kept % length


def test_a_discovery_weighs_as_the_weightiest_event_that_follows() -> None:
    feedback = {name: rule.model_copy(update={"target": True}) for name, rule in goods.SCHEMA.dataset.feedback.items()}
    codes = Codes(feedback | {"purchase": feedback["purchase"].model_copy(update={"weight": 2.0})})
    view, cart, purchase = goods.VIEW, goods.CART, goods.PURCHASE
    # One user buys the first item and puts the second in the cart; the other views the first.
    item, code = np.array([1, 1, 1, 2, 2, 1, 1, 1]), np.array([view, cart, purchase, view, cart, view, view, view])
    target = np.array([True, False, False, True, False, False, False, False])
    positive = codes.positive_array[code]
    events = Sequences(item, code, np.arange(8), positive, target, np.array([0, 5, 8]), np.array([1, 2]))
    assert firsts(events).tolist() == [True, False, False, True, False, True, False, False]
    # 2 and 0.5, divided by their mean.
    np.testing.assert_allclose(weights(codes, events)[[0, 3, 5]], [1.6, 0.4, 1.0])


def test_all_ratings_weigh_the_same(ratings: Ratings, parts: Split) -> None:
    assert (weights(ratings.schema.codes, sequences(ratings, parts.fit)) == 1.0).all()


HISTORY = 12
