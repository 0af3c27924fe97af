"""The models as ONNX, with their Triton configuration, proved to answer as the trained ones."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from features import Schema
from features.ids import UNKNOWN_NUMBER
from offline.errors import ExportError
from offline.models.encoder import Ensemble
from offline.models.ranker import Ranker
from offline.runs import PROBE, RANKER, USER_ENCODER

OPSET = 18
"""The opset that the onnxruntime of every Triton release since 2023 reads."""

TOLERANCE = 1e-5
"""Largest difference of an output, absolute and relative added."""

TRITON_TYPES = {onnx.TensorProto.INT64: "TYPE_INT64", onnx.TensorProto.FLOAT: "TYPE_FP32"}


def export_encoder(model: Ensemble, folder: Path, items: int) -> None:
    """Write `user_encoder/model.onnx` and `config.pbtxt` of an encoder of so many items.

    Raises:
        ExportError: the exported model does not answer as the trained one.
    """
    rng = np.random.default_rng(0)
    past = rng.choice(np.arange(1, items + 1), (8, model.history))
    past[0], past[1, 1:], past[2, 40:], past[3, ::3], past[4] = 0, 0, 0, UNKNOWN_NUMBER, UNKNOWN_NUMBER
    inputs = {"items": past.astype(np.int64), "liked": rng.integers(0, 2, past.shape) * (past > 0)}
    batch = torch.export.Dim("batch", min=1, max=2**20)
    shapes = ({0: batch}, {0: batch})
    fewer = {name: value[:1] for name, value in inputs.items()}
    _export(model, folder / USER_ENCODER, inputs, fewer, {"user_vector": (2,)}, shapes)


def export_ranker(schema: Schema, model: Ranker, folder: Path, history: int) -> None:
    """Write `ml_rec/model.onnx` and `config.pbtxt`.

    Raises:
        ExportError: the exported model does not answer as the trained one.
    """
    rng = np.random.default_rng(0)
    users, like = 3, model.like_models()[0]
    known = np.arange(1, like.item.num_embeddings)
    n = min(64, users * len(known))
    # No user has an item twice, as in lists.
    row = np.arange(n) % users
    ids = np.column_stack(
        [rng.integers(1, like.user.num_embeddings, n), rng.permutation(known)[np.arange(n) // users]]
        + [rng.integers(-1, min(2, len(attribute.values)), n) for attribute in schema.user_attributes]
    )
    ids[:4, 0], ids[2:6, 1] = UNKNOWN_NUMBER, UNKNOWN_NUMBER
    items = rng.choice(known, (users, history))
    items[1, history // 3 :], items[2] = 0, 0
    items[0, :1] = UNKNOWN_NUMBER
    inputs: dict[str, npt.NDArray[np.generic]] = {
        "user_vector": rng.normal(size=(users, model.item_vectors.shape[1])).astype(np.float32),
        "items": items.astype(np.int64),
        "rating": np.where(items > 0, rng.integers(1, schema.codes.size, items.shape), 0).astype(np.int64),
        "row": row.astype(np.int64),
        "ids": ids.astype(np.int64),
        "dense": rng.normal(size=(n, len(schema.dense_columns))).astype(np.float32),
    }
    batch, pairs = torch.export.Dim("batch", min=1, max=2**20), torch.export.Dim("pairs", min=1, max=2**20)
    shapes = ({0: batch}, {0: batch}, {0: batch}, {0: pairs}, {0: pairs}, {0: pairs})
    of_users = ("user_vector", "items", "rating")
    fewer = {name: value[:1] if name in of_users else value[row == 0] for name, value in inputs.items()}
    _export(model, folder / RANKER, inputs, fewer, {"next": (1,), "like": (1,), "score": (1,)}, shapes)


def _export(
    model: nn.Module,
    folder: Path,
    inputs: Mapping[str, npt.NDArray[np.generic]],
    fewer: Mapping[str, npt.NDArray[np.generic]],
    outputs: Mapping[str, tuple[int]],
    shapes: tuple[dict[int, torch.export.Dim], ...],
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    model.eval()
    given = tuple(torch.from_numpy(value) for value in inputs.values())
    path = folder / "model.onnx"
    with _quiet():
        torch.onnx.export(
            model,
            given,
            path,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=shapes,
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    graph = _with_free_widths(path)
    (folder / "config.pbtxt").write_text(_config(folder.name, graph))
    answers = _answers(model, inputs)
    check_parity(path, inputs, answers)
    # An exporter that takes a size of its example for a constant of the model fails with others alone.
    check_parity(path, fewer, _answers(model, fewer))
    told = {name: answer.numpy() for name, answer in zip(outputs, answers, strict=True)}
    np.savez(folder / PROBE, allow_pickle=False, **inputs, **told)


@torch.inference_mode()
def _answers(model: nn.Module, inputs: Mapping[str, npt.NDArray[np.generic]]) -> list[Tensor]:
    """The outputs of the trained model."""
    answer = model(*(torch.from_numpy(value) for value in inputs.values()))
    return [answer] if isinstance(answer, Tensor) else list(answer)


def check_parity(path: Path, inputs: Mapping[str, npt.NDArray[np.generic]], expected: Sequence[Tensor]) -> float:
    """Run an exported model and compare its outputs with the trained model's.

    Returns:
        The largest difference over 1 + the magnitude.

    Raises:
        ExportError: it is above TOLERANCE, or an output is not finite.
    """
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    worst = 0.0
    for name, ours, theirs in zip(
        [output.name for output in session.get_outputs()], expected, session.run(None, dict(inputs)), strict=True
    ):
        difference = np.abs(ours.numpy() - theirs) / (1.0 + np.abs(ours.numpy()))
        here = float(difference.max())
        # Not `here > TOLERANCE`, which is false for NaN.
        if not here <= TOLERANCE:
            raise ExportError(f"{path.parent.name}: {name} differs by {here:.2g} between torch and ONNX; train again")
        worst = max(worst, here)
    return worst


def _with_free_widths(path: Path) -> onnx.GraphProto:
    """Rewrite a model so that it declares no width of a tensor, and return its graph.

    Triton has one configuration for all versions of a model, and wants it to say what each model declares. Models that
    declare no width can be served side by side, whatever their vectors, histories and features are.
    """
    model = onnx.load(path)
    for tensor in (*model.graph.input, *model.graph.output):
        for axis, dim in enumerate(tensor.type.tensor_type.shape.dim):
            if dim.HasField("dim_value"):
                dim.dim_param = f"{tensor.name}_{axis}"
    onnx.save(model, path)
    return model.graph


def _config(name: str, graph: onnx.GraphProto) -> str:
    """Triton's configuration of a model whose tensors are of any size."""
    lines = [f'name: "{name}"', 'backend: "onnxruntime"', "max_batch_size: 0", "version_policy { all {} }"]
    for kind, tensors in (("input", graph.input), ("output", graph.output)):
        for tensor in tensors:
            described = tensor.type.tensor_type
            dims = ", ".join(["-1"] * len(described.shape.dim))
            data_type = TRITON_TYPES[described.elem_type]
            lines.append(f'{kind} [ {{ name: "{tensor.name}" data_type: {data_type} dims: [ {dims} ] }} ]')
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def _quiet():  # type: ignore[no-untyped-def]
    """Silence what the exporter says of its own internals."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
