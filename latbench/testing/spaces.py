"""What every search space must do: subclass :class:`SpaceSuite` under a name pytest collects.

.. code-block:: python

    class TestMySpace(SpaceSuite):
        def make_space(self):
            return MySpace(image_size=32)
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest

from latbench import registry
from latbench.errors import UsageError
from latbench.spaces import Block, IntArray, SearchSpace
from latbench.testing.architectures import WRONG_ARCHITECTURES, ArchitectureChecks
from latbench.testing.space_networks import SpaceNetworkChecks

__all__ = ["SpaceSuite"]


class SpaceSuite(ArchitectureChecks, SpaceNetworkChecks):
    """One check a rule of :class:`latbench.spaces.SearchSpace`.

    A subclass gives :meth:`make_space`. The space must be registered under its name, because a
    worker process rebuilds it from its spec.
    """

    # The space

    def test_its_spec_rebuilds_it(self, space: SearchSpace) -> None:
        """The spec survives JSON and builds an equal space."""
        spec = json.loads(json.dumps(space.spec))
        again: SearchSpace = registry.load(registry.SPACES, spec["name"])(**spec["options"])
        assert again.id == space.id
        assert again.choices == space.choices
        assert again.blocks == space.blocks
        assert (again.input_shape, again.classes) == (space.input_shape, space.classes)

    def test_names_are_unique(self, space: SearchSpace) -> None:
        """No two choices, options of a choice, or blocks share a name."""
        names = [choice.name for choice in space.choices]
        keys = [block.key for block in space.blocks]
        for listed in (names, keys, *(choice.options for choice in space.choices)):
            assert len(set(listed)) == len(listed)

    def test_a_block_key_stands_for_one_cost(self, space: SearchSpace) -> None:
        """Candidates that share a block's key agree in what they compute and cost."""
        known: dict[str, tuple[object, ...]] = {}
        for node in space.graph.nodes:
            for candidate in node.candidates:
                if candidate.operation.is_zero or candidate.operation.passes_through:
                    continue
                shapes = space.graph.input_shapes(candidate)
                block = Block(candidate.operation, shapes)
                facts = (
                    type(candidate.operation),
                    candidate.operation.output_shape(shapes),
                    block.macs,
                    block.params,
                )
                assert known.setdefault(block.key, facts) == facts

    # Architectures

    @pytest.mark.parametrize("what", WRONG_ARCHITECTURES)
    def test_what_is_no_architecture_has_no_path(
        self, space: SearchSpace, X: IntArray, what: str
    ) -> None:
        """What is no architecture of this space is a UsageError, where blocks are asked for too."""
        wrong: Any = WRONG_ARCHITECTURES[what](X)
        for ask in (space.path, space.macs):
            with pytest.raises(UsageError):
                ask(wrong)

    def test_one_network_is_not_several(self, space: SearchSpace, X: IntArray) -> None:
        """Where one network is wanted, two or none are refused, not cut down to the first."""
        two = np.concatenate([X[:1], X[:1]])
        for ask in (space.network, space.network_workload):
            for wrong in (two, two[:0]):
                with pytest.raises(UsageError):
                    ask(wrong)

    # Blocks

    def test_paths_count_the_blocks_of_the_plan(self, space: SearchSpace) -> None:
        """``path`` agrees with counting what the plan of each architecture runs."""
        X = space.sample(np.random.default_rng(11), 30)
        keys = [block.key for block in space.blocks]
        rows = space.path(X).toarray()
        assert rows.dtype == np.float64
        for x, row in zip(X, rows, strict=True):
            plan = space.graph.plan(x)
            counted = Counter(Block(step.operation, step.input_shapes).key for step in plan)
            assert {key: n for key, n in zip(keys, row, strict=True) if n} == counted

    def test_blocks_are_placed_where_the_plan_has_them(self, space: SearchSpace) -> None:
        """``placed`` names the block of each node that the plan runs, and -1 elsewhere."""
        X = space.sample(np.random.default_rng(15), 30)
        for x, row in zip(X, space.placed(X), strict=True):
            placed = {node: space.blocks[n].key for node, n in enumerate(row) if n != -1}
            assert placed == {
                step.node: Block(step.operation, step.input_shapes).key
                for step in space.graph.plan(x)
            }

    def test_what_rectifies_sees_its_input_through_a_relu(self, space: SearchSpace) -> None:
        """A ReLU before it changes nothing; before other operations with weights it does."""
        import torch

        generator = torch.Generator().manual_seed(16)
        for block in (block for block in space.blocks if block.params > 0):
            module = block.operation.module().eval().requires_grad_(False)
            for weights in module.parameters():  # a normalisation as drawn first keeps all signs
                weights.normal_(generator=generator)
            inputs = [torch.randn(1, *shape, generator=generator) for shape in block.input_shapes]
            plain, rectified = module(*inputs), module(*map(torch.relu, inputs))
            assert torch.equal(plain, rectified) == block.operation.rectifies, block.key

    def test_no_architectures_no_paths(self, space: SearchSpace, X: IntArray) -> None:
        """An empty batch is answered by an empty matrix."""
        assert space.path(X[:0]).shape == (0, len(space.blocks))

    def test_option_counts_add_up_where_the_space_is_additive(self, space: SearchSpace) -> None:
        """Additive: the path is the base and one part a choice. Otherwise there are no parts."""
        if not space.additive:
            with pytest.raises(ValueError, match="depends on other choices"):
                space.option_counts()
            return
        base, per_choice = space.option_counts()
        X = space.sample(np.random.default_rng(12), 50)
        total = np.tile(base, (len(X), 1))
        for column, part in enumerate(per_choice):
            assert part.shape == (space.sizes[column], len(space.blocks))
            total += part.toarray()[X[:, column]]
        np.testing.assert_array_equal(space.path(X).toarray(), total)
