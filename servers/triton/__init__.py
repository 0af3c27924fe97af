"""Triton: its server, its environment, and the model repository that it serves.

server        installation, launch and probe
environment   its Python environment
repository    the served repository, derived from the stock one
model         the Python model that runs ONNX in Triton
watch         ends Triton if a model's process dies
"""

from servers.triton.server import component, derive, models

__all__ = ["component", "derive", "models"]
