"""The models on Triton, over gRPC."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from features.schema import Floats, Ints
from scoring import RankerInputs, Ranking
from settings import TritonSettings
from stores.errors import StoreError, Unreachable

ENCODER = "user_encoder"
RANKER = "ml_rec"

LOADED_EVERY_S = 0.1
BELIEVED_AFTER_S = 5.0
"""Seconds until a refusal is believed: before that it may be of an earlier version of the same number."""

UNREACHABLE_S = 10.0
"""Seconds that Triton may not answer while it is to load a version."""

# gRPC's own pauses between two tries to connect grow to two minutes, in which a server that is back is not used.
CHANNEL = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
]


class Models:
    """A client with one channel; safe to share between threads."""

    def __init__(self, settings: TritonSettings) -> None:
        self._address = settings.address
        self._timeout_s = settings.timeout_s
        self._load_timeout_s = settings.load_timeout_s
        self._client = triton.InferenceServerClient(
            self._address, ssl=settings.tls, root_certificates=settings.ca_file or None, channel_args=CHANNEL
        )

    def encode(self, items: Ints, liked: Ints, version: int) -> Floats:
        """User vectors FP32 [B, dim] of histories INT64 [B, history] (see `scoring.Users`).

        Raises:
            Unreachable: if Triton does not answer in time or does not have the model.
        """
        (vector,) = self._infer(ENCODER, version, {"items": items, "liked": liked}, ["user_vector"])
        return vector

    def rank(self, inputs: RankerInputs, version: int) -> Ranking:
        """Rank candidates.

        Raises:
            Unreachable: if Triton does not answer in time or does not have the model.
        """
        return Ranking(*self._infer(RANKER, version, inputs.tensors(), ["score", "next", "like"]))

    def wait_until_loaded(self, model: str, version: int) -> None:
        """Wait until Triton, which looks for new versions in its repository by itself, has loaded one.

        Raises:
            StoreError: if Triton cannot load it, or has not in time.
            Unreachable: if Triton does not answer.
        """
        began = time.monotonic()
        while True:
            waited, why = time.monotonic() - began, ""
            try:
                if self.ready(model, version):
                    return
                why = self._refusal(model, version)
            except Unreachable:
                # It may be busy loading, or be started again.
                if waited > UNREACHABLE_S:
                    raise
            if waited > self._load_timeout_s or (why and waited > BELIEVED_AFTER_S):
                raise StoreError(
                    f"Triton at {self._address} has not loaded version {version} of {model} after {waited:.0f} s "
                    f"({why or 'no reason given'}); see its log"
                )
            time.sleep(LOADED_EVERY_S)

    def _refusal(self, model: str, version: int) -> str:
        """Triton's reason for not having loaded a version, in one line; empty while it has given none."""
        with self._reachable():
            index = self._client.get_model_repository_index(client_timeout=self._timeout_s)
        for model_version in index.models:
            if (model_version.name, model_version.version, model_version.state) == (model, str(version), "UNAVAILABLE"):
                return str(model_version.reason).partition("\n")[0]
        return ""

    def ready(self, model: str, version: int) -> bool:
        """Return True if a version of a model is loaded.

        Raises:
            Unreachable: if Triton does not answer.
        """
        with self._reachable():
            return bool(self._client.is_model_ready(model, str(version), client_timeout=self._timeout_s))

    def live(self) -> bool:
        """Return True if Triton answers."""
        try:
            return bool(self._client.is_server_live(client_timeout=self._timeout_s))
        except InferenceServerException:
            return False

    def close(self) -> None:
        """Close the channel."""
        self._client.close()

    def _infer(self, model: str, version: int, inputs: Mapping[str, Any], outputs: list[str]) -> list[Floats]:
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
