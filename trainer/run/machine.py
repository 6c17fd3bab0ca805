"""The machine: what a run's bits depend on beside data and configuration.

Out: versions, processor; this process pinned as the configuration requires.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import socket
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from trainer.data.device_orientation import ORIENTATION_VERSION
from trainer.features.feature_table import FEATURE_VERSION
from trainer.features.frames import FRAME_VERSION
from trainer.models import registry
from trainer.models.base import Model
from trainer.models.libraries import ModelError
from trainer.store.records import Machine

TRIMS = "MALLOC_TRIM_THRESHOLD_"
M_TRIM_THRESHOLD = -1  # mallopt(3)
M_MMAP_THRESHOLD = -3

PACKAGES = ("numpy", "polars", "lightgbm", "torch", "scikit-learn", "joblib")

# Fewer instructions than the processor has, so that bits agree across processors; read by the
# libraries when they are first imported. Source: FastSurfer 892.
PORTABLE = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",
}


_is_portable = False  # whether this process is pinned


def versions() -> dict[str, str]:
    """Return the versions of Python and of every package that changes bits, and the GPUs in use."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    if cuda is not None and cuda.is_available():
        gpus = [cuda.get_device_name(number) for number in range(cuda.device_count())]
        found["gpu"] = ", ".join(gpus)
    return found


def code_versions() -> dict[str, int]:
    """Return the versions of our own code that changes results; another one is another run."""
    return {
        "wearing": ORIENTATION_VERSION,
        "features": FEATURE_VERSION,
        "frames": FRAME_VERSION,
        **{model.code_name: model.code_version for model in registry.trainable_models()},
    }


def machine() -> Machine:
    """Return a description of this machine."""
    return Machine(
        host=socket.gethostname(),
        platform=f"{platform.system()} {platform.machine()}",
        processor=_processor(),
        num_cpus=os.cpu_count() or 1,
    )


def pin(exact: str) -> None:
    """Let waiting threads sleep; fix the instruction set for ``exact=portable``.

    Threads that spin while they wait starve each other as soon as anything else runs: a round of
    LightGBM on `asl` with 2 threads on 2 busy cores took 2.1 s, and 0.4 s when they sleep.

    Raises:
        ModelError: This process is pinned otherwise, which it stays: the libraries read the
            variables once.
    """
    global _is_portable
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when the library is first loaded
    is_other = _is_portable
    if exact == "portable":
        is_set = all(os.environ.get(name) == value for name, value in PORTABLE.items())
        is_other = "torch" in sys.modules and not is_set
    if is_other:
        raise ModelError(
            f"exact={exact}: this process has begun with the other setting, which would give other "
            f"bits. Start another one, of Dask another worker"
        )
    if exact == "portable":
        os.environ.update(PORTABLE)
        _is_portable = True


@contextlib.contextmanager
def enough_memory(model: Model, what: str) -> Iterator[None]:
    """Explain an error of a fit that means too little memory.

    Args:
        model: The model that is fitted.
        what: What it is fitted on, for the message.

    Raises:
        ModelError: There is too little memory, of the machine or of its GPU.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not model.is_out_of_memory(error):
            raise
        less = ", ".join(model.memory_settings) or f"parameters.{model.name}"
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(
            f"{model.title}, {what}: not enough memory ({reason}). Close other programs that use "
            f"it, then resume; or start another run with smaller {less}"
        ) from error


def reuse_freed_memory() -> None:
    """Undo what Dask's nanny does to the memory of its workers, where the C library is glibc.

    The nanny sets a trim threshold, and glibc then no longer adapts the size from which memory is
    returned to the system at once: every array over 128 KB is mapped page by page again. The
    features of a part then took 44,000 page faults and 200 ms of processor, not 2,000 and 125 ms.
    The thresholds here are the largest that glibc adapts to by itself.
    """
    if TRIMS in os.environ and sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(M_MMAP_THRESHOLD, 32 << 20)
            mallopt(M_TRIM_THRESHOLD, 64 << 20)


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
