"""A Triton model that runs `model.onnx`; it is copied next to each as `model.py`, and runs in Triton's environment.

The ONNX model's names are those of the configuration, as with the stock onnxruntime backend. Tensors pass by DLPack:
the backend's own conversion is built for numpy 1 and silently loses the values under numpy 2, the only one for
Python 3.13. Outputs come straight from onnxruntime, because the backend cannot take numpy's DLPack capsules.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found]

AT_ONCE = "REELSTREAM_LOADS_AT_ONCE" in os.environ
"""Models are loaded at the priority at which they serve (`publish.idle_priority` is false)."""


class TritonPythonModel:
    """One version of a model; each version and each instance has a process of its own."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the ONNX model of this version, behind what serves unless AT_ONCE."""
        with ThreadPoolExecutor(1, initializer=None if AT_ONCE else _behind) as pool:
            pool.submit(self._load, args).result()

    def _load(self, args: dict[str, str]) -> None:
        import numpy
        import onnxruntime

        config = json.loads(args["model_config"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        file = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self.taken: Callable[[Any], Any] = numpy.from_dlpack
        self.value: Callable[[Any], Any] = onnxruntime.OrtValue.ortvalue_from_numpy
        self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self.inputs = [entry["name"] for entry in config["input"]]
        self.outputs = [entry["name"] for entry in config["output"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request; a request that fails does not take the others with it."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        try:
            given = {name: self._input(request, name) for name in self.inputs}
            wanted = [name for name in self.outputs if name in request.requested_output_names()]
            outputs = self.session.run_with_ort_values(wanted, given)
            tensors = [pb_utils.Tensor.from_dlpack(name, value) for name, value in zip(wanted, outputs, strict=True)]
        except Exception as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
        return pb_utils.InferenceResponse(tensors)

    def _input(self, request: Any, name: str) -> Any:
        return self.value(self.taken(pb_utils.get_input_tensor_by_name(request, name)))


def _behind() -> None:
    """Have this thread alone run where nobody else would: while it works, another version answers."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(threading.get_native_id(), os.SCHED_IDLE, os.sched_param(0))
