"""A small model for Triton, whose answer tells which version gave it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import tritonclient.grpc as triton
from onnx import TensorProto, helper

CONFIG = """
name: "scale"
platform: "onnxruntime_onnx"
max_batch_size: 0
input [
  { name: "ids" data_type: TYPE_INT64 dims: [ -1, -1 ] },
  { name: "x" data_type: TYPE_FP32 dims: [ -1, -1 ] }
]
output [
  { name: "sum" data_type: TYPE_FP32 dims: [ -1, -1 ] },
  { name: "same" data_type: TYPE_INT64 dims: [ -1, -1 ] }
]
version_policy { all { } }
instance_group [ { count: 1 kind: KIND_CPU } ]
parameters { key: "run" value { string_value: "r1" } }
"""


def publish_scale(repository: Path, version: int) -> None:
    """A model of two inputs whose answer, ids * version + x, tells its version."""
    nodes = [
        helper.make_node("Cast", ["ids"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Constant", [], ["factor"], value=helper.make_tensor("f", TensorProto.FLOAT, [], [version])),
        helper.make_node("Mul", ["real", "factor"], ["product"]),
        helper.make_node("Add", ["product", "x"], ["sum"]),
        helper.make_node("Identity", ["ids"], ["same"]),
    ]
    shape = ["rows", "columns"]
    ids, same = (helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in ("ids", "same"))
    x, total = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "sum"))
    graph = helper.make_graph(nodes, "scale", [ids, x], [total, same])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    folder = repository / "scale" / str(version)
    folder.mkdir(parents=True)
    onnx.save(model, str(folder / "model.onnx"))
    (repository / "scale" / "config.pbtxt").write_text(CONFIG)


def infer_scale(client: triton.InferenceServerClient, version: str) -> list[list[float]]:
    given = np.arange(6).reshape(2, 3)
    ids = triton.InferInput("ids", [2, 3], "INT64")
    ids.set_data_from_numpy(given.astype(np.int64))
    x = triton.InferInput("x", [2, 3], "FP32")
    x.set_data_from_numpy((given * 0.5).astype(np.float32))
    answer = client.infer("scale", [ids, x], model_version=version)
    assert answer.as_numpy("same").tolist() == given.tolist()
    total: list[list[float]] = answer.as_numpy("sum").tolist()
    return total
