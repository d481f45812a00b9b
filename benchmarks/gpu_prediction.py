"""Blocks and networks measured with PyTorch on the device, and predictors scored on them.

What the store of the check holds is not measured again, so a part that was stopped goes on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from benchmarks.gpu_part import Check, Row, refused, unfinished
from benchmarks.predicting import scored
from latbench import devices
from latbench.errors import LatbenchError
from latbench.workflows.fit import FEWEST_NETWORKS
from latbench.workflows.measured import measured
from latbench.workflows.profile import Wanted, profile
from latbench.workflows.setting import Setting

_KINDS = ("lut", "mlp", "gbdt")
_LEARNED = 100
"""Networks that predictors are fitted on; half of them all where they are few."""
_REPEATED = 30
_ON_GPUS = (("clock", "gpu"), ("launch", "graph"))
"""On a GPU its own time: the host's launches would be nearly all there is of a small block."""


def rows(check: Check, before: Sequence[Row]) -> Iterator[Row]:
    """Yield what was measured, then the scores of each predictor on the networks left out.

    What an earlier call measured is in the store.

    Raises:
        UnavailableError: PyTorch cannot use the device.
    """
    space = check.build_space()
    on_gpu = devices.profile(check.device).kind == "gpu"
    target, instance = Setting(check.device, "torch", "fp32", _ON_GPUS if on_gpu else ()).here()
    start = time.monotonic()
    again = min(_REPEATED, check.networks // 3)
    with check.store() as store:
        swept = profile(
            store,
            [(target, instance)],
            Wanted(space, blocks=True, networks=check.networks, repeats=again),
            protocol=check.protocol,
            budget_s=check.budget_s,
        )
        found = measured(store, space, target)
    if time.monotonic() - start > check.budget_s:
        yield unfinished("prediction")
    for failure in swept.failed:
        yield refused(failure["workload"], failure["reason"])
    yield {
        "what": f"{space.name} on {target.label}",
        "blocks": len(found.blocks),
        "networks": len(found.networks),
        "of_blocks": len(space.blocks),
        "of_networks": check.networks,
        "statuses": {
            kind: frame["status"].value_counts().to_dict()
            for kind, frame in (("blocks", found.blocks), ("networks", found.networks))
        },
        "half_width_percent": 100 * found.networks["half_width"].median(),
        "noise_mape": found.noise_mape,
        "target": target.to_dict(),
    }
    n = min(_LEARNED, len(found.y) // 2)
    if n < FEWEST_NETWORKS:
        yield refused("predictors", f"{len(found.y)} networks are too few to fit on half of them")
        return
    for kind in _KINDS:
        try:
            mape, within_5, within_10 = scored(found, kind, {}, n).T
        except LatbenchError as failure:
            yield refused(kind, failure)
        else:
            yield {
                "predictor": kind,
                "n_train": n,
                "n_test": len(found.y) - n,
                "mape": mape.mean(),
                "mape_deviation": mape.std(ddof=1),
                "within_5": within_5.mean(),
                "within_10": within_10.mean(),
                "noise_mape": found.noise_mape,
            }
