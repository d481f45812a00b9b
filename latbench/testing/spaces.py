"""What every search space must do: subclass :class:`SpaceSuite` under a name pytest collects.

.. code-block:: python

    class TestMySpace(SpaceSuite):
        def make_space(self):
            return MySpace(image_size=32)
"""

from __future__ import annotations

from latbench.testing.architectures import ArchitectureChecks
from latbench.testing.networks import NetworkChecks


class SpaceSuite(ArchitectureChecks, NetworkChecks):
    """One check a rule of :class:`latbench.spaces.SearchSpace`.

    The space must be registered under its name: a worker rebuilds it from its spec.
    """
