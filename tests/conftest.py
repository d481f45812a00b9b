"""The test run keeps to one thread: machines are shared, and more threads would only queue."""

import os
import sys

import pytest

# Read when these libraries are first loaded, so this must come before any test module.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[_name] = "1"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Take back the number of threads that an earlier test may have left torch with."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
