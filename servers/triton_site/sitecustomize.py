"""Loads NumPy in Triton's model processes, behind what serves; Python runs this before Triton's own code needs it."""

import os
import threading


def _load() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
    import numpy  # noqa: F401


loading = threading.Thread(target=_load)
loading.start()
loading.join()
