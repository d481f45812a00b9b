"""Kernels on GPUs that are known by their datasheets: what they compute and move, and how long."""

from __future__ import annotations

import numpy as np
import pytest

from latbench.spaces import FloatArray
from latbench.workflows.protocols.gpu_kernels import Gpu, KernelModel, Kernels, roofline

GPUS = {
    "slow": Gpu(flops=8e9, bandwidth=4e8, multiprocessors=40),
    "fast": Gpu(flops=2e10, bandwidth=1.6e9, multiprocessors=100),
    "between": Gpu(flops=1.4e10, bandwidth=9e8, multiprocessors=80),
    "starved": Gpu(flops=2e10, bandwidth=1e8, multiprocessors=100),
}
PRODUCT = [[2.0, 100.0, 50.0, 30.0]]
TENSOR = [[64.0, 1000.0]]


def kernels(operator: str, shapes: object, gpu: str) -> Kernels:
    """Return kernels of one GPU."""
    made = np.array(shapes, dtype=np.float64)
    return Kernels(operator, made, np.array([gpu] * len(made)), GPUS)


def products(gpu: str, n: int = 300) -> Kernels:
    """Return random matrix products on one GPU."""
    rng = np.random.default_rng(1)
    return kernels("bmm", np.round(2 ** rng.uniform(3, 10, (n, 4))), gpu)


def both(one: Kernels, other: Kernels) -> Kernels:
    """Return the kernels of both."""
    return Kernels(
        one.operator,
        np.concatenate([one.shapes, other.shapes]),
        np.concatenate([one.names, other.names]),
        GPUS,
    )


def in_times(found: Kernels) -> FloatArray:
    """Return latencies in ms that are a sum of launch, arithmetic and memory."""
    gpus = [GPUS[name] for name in found.names]
    flops, bandwidth = np.array([(one.flops, one.bandwidth) for one in gpus]).T
    latency_ms: FloatArray = 0.02 + 1.4 * found.flops / flops + 1.1 * found.moved / bandwidth
    return latency_ms


@pytest.mark.parametrize(
    ("operator", "shapes", "flops", "moved"),
    [
        ("bmm", PRODUCT, 2 * 2 * 100 * 50 * 30, 4 * 2 * (100 * 50 + 50 * 30 + 100 * 30)),
        ("relu", TENSOR, 64_000, 4 * 2 * 64_000),
        ("addu", TENSOR, 64_000, 4 * 2 * 64_000),
        ("add", TENSOR, 64_000, 4 * 3 * 64_000),
        ("softmax", TENSOR, 5 * 64_000, 4 * 2 * 64_000),
        ("ln", TENSOR, 6 * 64_000, 4 * 2 * 64_000),
    ],
)
def test_work_and_bytes_by_hand(operator: str, shapes: object, flops: int, moved: int) -> None:
    """Products contract the third number; a binary operator reads twice."""
    found = kernels(operator, shapes, "slow")
    assert (found.flops.tolist(), found.moved.tolist()) == ([flops], [moved])


def test_the_roofline_is_the_larger_time() -> None:
    """A large product is bound by arithmetic, an elementwise kernel by memory."""
    large = kernels("bmm", [[1, 1000, 1000, 1000]], "slow")
    assert roofline(large).tolist() == [2e9 / 8e9]
    assert roofline(kernels("relu", TENSOR, "slow")).tolist() == [512_000 / 4e8]


@pytest.mark.parametrize("trees", [False, True])
def test_a_sum_of_times_holds_on_an_unseen_gpu(trees: bool) -> None:
    """What two GPUs show of launch, arithmetic and memory is right for a third."""
    seen, other = both(products("slow"), products("fast")), products("between")
    model = KernelModel(trees=trees).fit(seen, in_times(seen))
    assert model.predict(other) == pytest.approx(in_times(other), rel=1e-6)


def test_trees_correct_seen_gpus_alone() -> None:
    """A GPU that is twice as slow on tall matrices is learned, and no other GPU is touched."""
    seen, other = both(products("slow"), products("fast")), products("between")
    tall = (seen.names == "slow") & (seen.shapes[:, 1] > 100)
    latency_ms = in_times(seen) * np.where(tall, 2.0, 1.0)
    plain, corrected = (KernelModel(trees=trees).fit(seen, latency_ms) for trees in (False, True))
    off = [np.abs(model.predict(seen) / latency_ms - 1).mean() for model in (plain, corrected)]
    assert off[1] < off[0] / 3
    assert corrected.predict(other).tolist() == plain.predict(other).tolist()


def test_what_tiles_read_again_stays_within_measured_balances() -> None:
    """Beyond the most starved GPU that was measured, tiles cost no more; reading once does."""
    seen = both(products("slow"), products("fast"))
    model = KernelModel(trees=False).fit(seen, in_times(seen))
    starved, edge = model._terms(products("starved")), model._terms(products("fast"))
    balance = {name: gpu.flops / gpu.bandwidth for name, gpu in GPUS.items()}
    traffic, once = slice(4, None, 2), 2
    assert starved[:, traffic] == pytest.approx(
        edge[:, traffic] * balance["slow"] / balance["fast"]
    )
    assert starved[:, once] == pytest.approx(edge[:, once] * balance["starved"] / balance["fast"])
    assert balance["starved"] > balance["slow"]


def test_equal_seeds_give_equal_predictions() -> None:
    """Nothing else is random."""
    seen = both(products("slow"), products("fast"))
    latency_ms = in_times(seen) * np.random.default_rng(0).uniform(0.8, 1.2, len(seen))
    one, again = (KernelModel(seed=3).fit(seen, latency_ms).predict(seen) for _ in range(2))
    assert one.tolist() == again.tolist()
