"""The models on Triton, over gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from features.schema import Floats, Ints
from settings import TritonSettings
from stores.errors import StoreError, Unreachable

ENCODER = "user_encoder"
RANKER = "ml_rec"

# gRPC's own pauses between two tries to connect grow to two minutes, in which a server that is back is not used.
CHANNEL = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
]


@dataclass(frozen=True, slots=True)
class Ranking:
    """What the ranker says of N candidates, FP32 [N] each.

    Attributes:
        score: what the list is ordered by.
        next: log-odds, up to a constant, that the item is the next.
        like: probability that the user likes it once watched.
    """

    score: Floats
    next: Floats
    like: Floats


class Models:
    """A client with one channel; safe to share between threads."""

    def __init__(self, settings: TritonSettings) -> None:
        self._address = f"{settings.host}:{settings.grpc_port}"
        self._timeout_s = settings.timeout_s
        self._client = triton.InferenceServerClient(
            self._address, ssl=settings.tls, root_certificates=settings.ca_file or None, channel_args=CHANNEL
        )

    def encode(self, items: Ints, liked: Ints, version: int) -> Floats:
        """User vectors FP32 [B, dim] of histories INT64 [B, history] (see `features.encoder_input`).

        Raises:
            Unreachable: if Triton does not answer in time or does not have the model.
        """
        (vector,) = self._infer(ENCODER, version, {"items": items, "liked": liked}, ["user_vector"])
        return vector

    def rank(
        self,
        user_vector: Floats,
        items: Ints,
        rating: Ints,
        ids: Ints,
        dense: Floats,
        version: int,
        row: Ints | None = None,
    ) -> Ranking:
        """Rank candidates.

        Args:
            user_vector: of each of U users, FP32 [U, dim].
            items, rating: their histories, INT64 [U, history] (see `features.encoder_input`, `features.rating_input`).
            ids: INT64 [N, 5], columns as in `features.IDS`.
            dense: FP32 [N, 32], columns as in `features.DENSE_COLUMNS`.
            version: version of the model.
            row: the user of each candidate, INT64 [N]; None where there is one user.

        Raises:
            Unreachable: if Triton does not answer in time or does not have the model.
        """
        inputs = {
            "user_vector": user_vector,
            "items": items,
            "rating": rating,
            "row": np.zeros(len(ids), dtype=np.int64) if row is None else row,
            "ids": ids,
            "dense": dense,
        }
        return Ranking(*self._infer(RANKER, version, inputs, ["score", "next", "like"]))

    def load(self, model: str) -> None:
        """Have Triton read a model's versions from the repository again.

        Raises:
            Unreachable: if Triton does not answer or refuses.
        """
        with self._reachable():
            self._client.load_model(model)

    def ready(self, model: str, version: int) -> bool:
        """Whether a version of a model is loaded.

        Raises:
            Unreachable: if Triton does not answer.
        """
        with self._reachable():
            return bool(self._client.is_model_ready(model, str(version), client_timeout=self._timeout_s))

    def live(self) -> bool:
        """Whether Triton answers."""
        try:
            return bool(self._client.is_server_live(client_timeout=self._timeout_s))
        except InferenceServerException:
            return False

    def close(self) -> None:
        """Close the channel."""
        self._client.close()

    def _infer(self, model: str, version: int, inputs: dict[str, Any], outputs: list[str]) -> list[Floats]:
        tensors = []
        for name, array in inputs.items():
            tensor = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
            tensor.set_data_from_numpy(array)
            tensors.append(tensor)
        wanted = [triton.InferRequestedOutput(name) for name in outputs]
        with self._reachable():
            answer = self._client.infer(
                model, tensors, model_version=str(version), outputs=wanted, client_timeout=self._timeout_s
            )
        if answer.get_response().model_version != str(version):
            raise StoreError(f"Triton answered with version {answer.get_response().model_version} of {model}")
        return [answer.as_numpy(name) for name in outputs]

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            yield
        except InferenceServerException as error:
            raise Unreachable(
                f"Triton at {self._address} does not answer ({error.message()}); see `reelstream status`"
            ) from error
