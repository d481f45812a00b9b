"""Every registered predictor keeps the contract."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latbench
from latbench import registry
from latbench.errors import ArtefactError
from latbench.predictor import Predictor
from latbench.spaces.space import SearchSpace
from latbench.testing.predictors import TARGET, PredictorSuite

# The latencies of the suite are a sum, for which these two would use neither trees nor network.
PARAMS: dict[str, dict[str, Any]] = {
    "gbdt": {"rounds": 20},
    "mlp": {"shortcut": False, "epochs": 20},
}


KERNELS = {"values": [3, 5, 7]}
SPACES: dict[str, dict[str, Any]] = {
    "digits-mobilenet": {},
    "nasbench201": {"cells": 1},
    "table": {
        "columns": [
            {"name": "operation", "values": ["conv", "pool", "skip"]},
            {"name": "resolution", "values": [128, 160, 192, 224], "between": True},
            {"name": "depth", "values": [2, 3, 4]},
            {"name": "kernel1", **KERNELS},
            {"name": "kernel2", **KERNELS},
            {"name": "kernel3", **KERNELS, "active": ["depth", [3, 4]]},
            {"name": "kernel4", **KERNELS, "active": ["depth", [4]]},
        ]
    },
}
"""A chain, cells that are pruned, and no network at all: space -> its options."""
WANT_NETWORKS = ("flops", "lut", "params")

CASES = [
    (kind, space)
    for space in SPACES
    for kind in registry.names(registry.PREDICTORS)
    if not (space == "table" and kind in WANT_NETWORKS)
]


class TestRegisteredPredictors(PredictorSuite):
    """The shipped suite over what the registry lists, on a space of each sort."""

    kind: str
    space_name: str

    @pytest.fixture(autouse=True, params=CASES, ids="-".join)
    def _case(self, request: pytest.FixtureRequest) -> None:
        self.kind, self.space_name = request.param

    def make_space(self) -> SearchSpace:
        return latbench.space(self.space_name, **SPACES[self.space_name])

    def make_predictor(self, space: SearchSpace, block_ms: Mapping[str, float]) -> Predictor:
        found: type[Predictor] = registry.load(registry.PREDICTORS, self.kind)
        return found.for_table(space, block_ms, **PARAMS.get(self.kind, {}))

    def test_its_kind_is_its_registered_name(self, predictor: Predictor) -> None:
        """A saved predictor is found again by its kind."""
        assert predictor.kind == self.kind

    def test_the_contract_loads_any_kind(self, saved: Path, fitted: Predictor, new: Any) -> None:
        """``Predictor.load`` finds the class by the saved kind."""
        loaded = Predictor.load(saved, TARGET)
        assert type(loaded) is type(fitted)
        np.testing.assert_array_equal(loaded.predict(new[0]), fitted.predict(new[0]))

    def test_another_kind_is_refused(self, saved: Path) -> None:
        """A class refuses what another one saved."""
        other = next(name for name in registry.names(registry.PREDICTORS) if name != self.kind)
        with pytest.raises(ArtefactError, match=f"holds a {self.kind}, not a {other}"):
            registry.load(registry.PREDICTORS, other).load(saved)
