"""Checks on the networks of a space: in torch, stitched to ONNX, and along a supernet."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from latbench.runtimes import random_inputs
from latbench.spaces import IntArray, SearchSpace, Shape
from latbench.testing import onnx_models
from latbench.testing.space_fixtures import SpaceFixtures

if TYPE_CHECKING:
    from torch import Tensor, nn


class SpaceNetworkChecks(SpaceFixtures):
    """One check a rule of :class:`latbench.spaces.SearchSpace` that builds networks."""

    # torch

    def test_networks_run(self, space: SearchSpace, X: IntArray) -> None:
        """Each network maps images to finite logits, (n, classes)."""
        import torch

        for x in X:
            logits = space.network(x).eval()(_images(space, 2))
            assert logits.shape == (2, space.classes)
            assert torch.isfinite(logits).all()

    def test_weights_follow_their_seed(self, space: SearchSpace, X: IntArray) -> None:
        """Equal seeds give equal weights, different seeds different ones."""
        first, same, other = (_weights(space.network(X[0], seed)) for seed in (3, 3, 4))
        assert all((first[name] == same[name]).all() for name in first)
        assert any((first[name] != other[name]).any() for name in first)

    def test_building_and_exporting_leave_the_random_state(
        self, space: SearchSpace, X: IntArray
    ) -> None:
        """A training run draws the same numbers, whatever is built or measured in between."""
        import torch

        space = type(space)(**space.options)  # has not exported anything yet
        before = torch.get_rng_state()
        space.network(X[0])
        space.supernet()
        space.network_workload(X[0])
        assert torch.equal(torch.get_rng_state(), before)

    def test_params_are_those_of_torch(self, space: SearchSpace, X: IntArray) -> None:
        """``params`` counts what torch would train, in the network and its workload."""
        for x, expected in zip(X, space.params(X), strict=True):
            network = space.network(x)
            assert sum(weight.numel() for weight in network.parameters()) == expected
            assert space.network_workload(x).params == expected

    # ONNX

    def test_macs_are_those_of_the_onnx_graph(self, space: SearchSpace, X: IntArray) -> None:
        """``macs`` counts what the exported graph multiplies; a workload counts its batch."""
        for x, expected in zip(X, space.macs(X), strict=True):
            for batch in (1, 3):
                assert onnx_models.macs(space.to_onnx(x, batch)) == batch * expected
                assert space.network_workload(x, batch).macs == batch * expected

    def test_networks_pass_the_checker_and_run(self, space: SearchSpace, X: IntArray) -> None:
        """``to_onnx`` gives valid ONNX with every shape inferable, which ONNX Runtime runs."""
        for x, batch in itertools.product(X, (1, 3)):
            model = space.to_onnx(x, batch)
            onnx.checker.check_model(model, full_check=True)
            inputs = random_inputs(space.network_workload(x, batch).inputs)
            (logits,) = onnx_models.run(model, inputs)
            assert logits.shape == (batch, space.classes)
            assert onnx_models.unread_nodes(model) == []

    def test_workloads_repeat(self, space: SearchSpace, X: IntArray) -> None:
        """Another object of the same space makes the same workload, whatever was made before."""
        again = type(space)(**space.options)
        again.block_workload(again.blocks[-1])
        assert again.network_workload(X[0]) == space.network_workload(X[0])
        assert again.to_onnx(X[0]) == space.to_onnx(X[0])

    def test_initialisers_are_not_shared(self, space: SearchSpace, X: IntArray) -> None:
        """Each place reads initialisers of its own: shared ones would stay in the cache."""
        from latbench.spaces.weights import seeded

        for x in X:
            model = space.to_onnx(x)
            assert onnx_models.shared_initialisers(model) == []
            arrays = list(seeded(_without_weights(space, x)).values())
            assert arrays or not model.graph.initializer
            for one, other in itertools.combinations(arrays, 2):
                assert not np.shares_memory(one, other)

    def test_values_are_ordinary(self, space: SearchSpace, X: IntArray) -> None:
        """No tensor on the way holds NaN, infinities or subnormals, or only zeros."""
        least = np.finfo(np.float32).tiny
        for x in X:
            inputs = random_inputs(space.network_workload(x).inputs)
            for values in onnx_models.run(space.to_onnx(x), inputs, every_tensor=True):
                if values.dtype != np.float32 or values.size < 2:
                    continue
                assert np.isfinite(values).all()
                size = np.abs(values)
                assert not ((size > 0) & (size < least)).any()
                assert self.least_std < float(values.std()) < self.most_std

    def test_blocks_compute_and_cost_what_they_say(self, space: SearchSpace) -> None:
        """Each block computes in ONNX what its module does, and costs what is counted there."""
        import torch

        from latbench.spaces.exporting import export_module
        from latbench.spaces.identity import graph_id

        chosen = np.random.default_rng(14).permutation(len(space.blocks))[: self.blocks]
        for block in (space.blocks[position] for position in chosen):
            module = block.operation.module()
            assert sum(weight.numel() for weight in module.parameters()) == block.params
            _train(module)
            shapes = _batched(block.input_shapes)
            model = export_module(module, shapes)
            workload = space.block_workload(block, batch=2)
            assert graph_id(model) == workload.id
            assert onnx_models.macs(model) == workload.macs == 2 * block.macs
            inputs = [torch.from_numpy(one) for one in random_inputs(workload.inputs).values()]
            (got,) = onnx_models.run(model, random_inputs(workload.inputs))
            assert got.shape == (2, *block.operation.output_shape(block.input_shapes))
            _assert_close(got, module(*inputs))

    def test_stitched_networks_equal_exported_ones(self, space: SearchSpace, X: IntArray) -> None:
        """With equal weights, stitching and torch's own export give the same outputs and id."""
        from latbench.spaces.exporting import Exporter, export_module
        from latbench.spaces.identity import graph_id
        from latbench.spaces.network import ArchitectureNetwork

        images = _images(space, 2)
        for x in X:
            network = space.network(x)
            assert isinstance(network, ArchitectureNetwork)
            _train(network)
            whole = export_module(network, (tuple(images.shape),))
            parts = [
                export_module(network.module_of(step), _batched(step.input_shapes)).graph
                for step in network.plan
            ]
            stitched = Exporter(space, batch=2).stitch(network.plan, parts)
            expected = network(images)
            inputs = {"input": images.numpy()}
            _assert_close(onnx_models.run(stitched, inputs)[0], expected)
            # torch drops the input, and most of the graph, where no logit depends on the image.
            if all(None not in step.inputs for step in network.plan):
                _assert_close(onnx_models.run(whole, inputs)[0], expected)
                assert graph_id(stitched) == graph_id(whole)
            assert graph_id(stitched) == space.network_workload(x, batch=2).id

    # Supernet

    def test_supernet_paths_equal_networks(self, space: SearchSpace, X: IntArray) -> None:
        """Along a path the supernet computes what the network with the same weights does."""
        import torch

        supernet = space.supernet(seed=5).eval()
        for x in X:
            network = space.network(x).eval()
            network.load_state_dict(supernet.state_of(x))
            images = _images(space, 2)
            torch.testing.assert_close(supernet(images, x), network(images))

    def test_one_hot_weights_are_a_path(self, space: SearchSpace, X: IntArray) -> None:
        """Mixed by weights of one and zero, the supernet computes what it does along the path."""
        import torch
        from torch.nn import functional as F

        drawn = space.sample(np.random.default_rng(15), 100)
        live, _ = space.graph.live(drawn)
        unfed = space.graph.read(drawn) & ~live
        most_unfed = drawn[unfed.sum(axis=1).argmax()]
        supernet = space.supernet(seed=5)
        _train(supernet)
        images = _images(space, 4)
        for x in (*X, most_unfed):
            weights = [
                F.one_hot(torch.tensor(int(chosen)), size).float()
                for chosen, size in zip(x, space.sizes, strict=True)
            ]
            # Statistics of small batches make much of what rounding does.
            for training, tolerance in ((False, 1e-5), (True, 1e-2)):
                supernet.train(training)
                mixed, path = supernet.mixed(images, weights), supernet(images, x)
                torch.testing.assert_close(mixed, path, rtol=tolerance, atol=tolerance)

    def test_the_supernet_trains_at_another_image_size(
        self, space: SearchSpace, X: IntArray
    ) -> None:
        """Images of another size, and other classes, train the weights of the path alone."""
        import torch

        size = self.other_image_size(space)
        assert size != space.input_shape[1]
        supernet = space.supernet(classes=space.classes + 1).train()
        images = torch.randn(4, space.input_shape[0], size, size)
        supernet(images, X[0]).square().sum().backward()
        names = [name for name, _ in space.network(X[0]).named_parameters()]
        on_path = {id(supernet.get_parameter(name)) for name in names}
        used = {id(weight) for weight in supernet.parameters() if weight.grad is not None}
        assert used == on_path
        for weight in supernet.parameters():
            assert weight.grad is None or torch.isfinite(weight.grad).all()

    def test_the_supernet_holds_every_candidate(self, space: SearchSpace) -> None:
        """Whatever is sampled finds its weights in the supernet."""
        held = set(space.supernet().state_dict())
        for x in space.sample(np.random.default_rng(13), 5):
            assert set(space.network(x).state_dict()) <= held


def _images(space: SearchSpace, n: int) -> Tensor:
    import torch

    return torch.randn(n, *space.input_shape, generator=torch.Generator().manual_seed(2))


def _batched(shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
    return tuple((2, *shape) for shape in shapes)


def _weights(network: nn.Module) -> dict[str, Any]:
    return dict(network.named_parameters())


def _without_weights(space: SearchSpace, x: IntArray) -> onnx.ModelProto:
    return onnx.load_model_from_string(space.network_workload(x).model)


def _train(module: nn.Module) -> None:
    """Make normalisations differ from identities, as training does; then stop training."""
    import torch
    from torch import nn

    generator = torch.Generator().manual_seed(6)
    module.eval().requires_grad_(False)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight, layer.running_var):
                assert values is not None
                values.uniform_(0.7, 1.4, generator=generator)
            for values in (layer.bias, layer.running_mean):
                assert values is not None
                values.normal_(0, 0.1, generator=generator)


def _assert_close(got: onnx_models.Array, expected: Tensor) -> None:
    want = expected.detach().numpy()
    tolerance = 1e-5 * float(np.abs(want).max())
    np.testing.assert_allclose(got.astype(np.float64), want, rtol=1e-4, atol=tolerance)
