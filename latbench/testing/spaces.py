"""What every search space must do: subclass :class:`SpaceSuite` under a name pytest collects.

.. code-block:: python

    class TestMySpace(SpaceSuite):
        def make_space(self):
            return MySpace(image_size=32)
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from latbench import registry
from latbench.errors import UsageError
from latbench.spaces import Block, IntArray, SearchSpace
from latbench.testing.space_networks import SpaceNetworkChecks

__all__ = ["SpaceSuite"]

_LEAST_P = 1e-4

_WRONG: dict[str, Callable[[IntArray], object]] = {
    "too few choices": lambda X: X[:, :-1],
    "too many choices": lambda X: np.hstack([X, X[:, :1]]),
    "three dimensions": lambda X: X[np.newaxis],
    "one number": lambda X: X[0, 0],
    "rows of unequal length": lambda X: [list(X[0]), list(X[0])[:-1]],
    "floats": lambda X: X.astype(np.float64),
    "booleans": lambda X: X.astype(np.bool_),
    "text": lambda X: X.astype(str),
    "nothing": lambda X: None,
    "a negative number": lambda X: X - 1000,
    "a number above the options": lambda X: X + 1000,
}


class SpaceSuite(SpaceNetworkChecks):
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

    def test_its_size_is_the_product_of_its_options(self, space: SearchSpace) -> None:
        """``size`` counts every combination of options, exactly."""
        size = 1
        for choice in space.choices:
            size *= len(choice.options)
        assert space.size == size

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

    # Sampling

    def test_samples_are_architectures(self, space: SearchSpace) -> None:
        """A sample is (n, choices) whole numbers, in range and canonical; n may be 0."""
        X = space.sample(np.random.default_rng(0), 50)
        assert X.shape == (50, len(space.choices))
        assert X.dtype == np.int64
        np.testing.assert_array_equal(space.check(X), X)
        assert space.sample(np.random.default_rng(0), 0).shape == (0, len(space.choices))

    def test_samples_follow_their_seed(self, space: SearchSpace) -> None:
        """Equal seeds give equal samples, different seeds different ones."""
        first, same, other = (space.sample(np.random.default_rng(seed), 50) for seed in (3, 3, 4))
        np.testing.assert_array_equal(first, same)
        assert (first != other).any()

    def test_samples_are_uniform(self, space: SearchSpace) -> None:
        """Every option is equally likely, by a chi-square test (where the choice is active)."""
        X = space.sample(np.random.default_rng(5), 4000)
        for column, choice in enumerate(space.choices):
            if choice.active is None:
                counts = np.bincount(X[:, column], minlength=len(choice.options))
                assert stats.chisquare(counts).pvalue > _LEAST_P, choice.name

    def test_choices_are_drawn_independently(self, space: SearchSpace) -> None:
        """No choice tells anything about the next, by a chi-square test."""
        X = space.sample(np.random.default_rng(6), 4000)
        free = [column for column, choice in enumerate(space.choices) if choice.active is None]
        for one, other in itertools.pairwise(free):
            table = np.zeros((space.sizes[one], space.sizes[other]))
            np.add.at(table, (X[:, one], X[:, other]), 1)
            name = space.choices[one].name
            assert stats.chi2_contingency(table).pvalue > _LEAST_P, name

    # Checking

    def test_one_vector_becomes_one_row(self, space: SearchSpace, X: IntArray) -> None:
        """``check`` takes one architecture alone, and lists for arrays."""
        np.testing.assert_array_equal(space.check(X[0]), X[:1])
        np.testing.assert_array_equal(space.check(X.tolist()), X)

    @pytest.mark.parametrize("what", _WRONG)
    def test_wrong_architectures_are_refused(
        self, space: SearchSpace, X: IntArray, what: str
    ) -> None:
        """What is no architecture of this space is a UsageError, for every way in."""
        wrong: Any = _WRONG[what](X)
        for ask in (space.check, space.path, space.one_hot, space.macs):
            with pytest.raises(UsageError):
                ask(wrong)

    def test_one_architecture_is_not_several(self, space: SearchSpace, X: IntArray) -> None:
        """Where one architecture is wanted, two or none are refused, not cut down to the first."""
        two = np.concatenate([X[:1], X[:1]])
        for ask in (space.decode, space.to_json, space.hash, space.network, space.network_workload):
            for wrong in (two, two[:0]):
                with pytest.raises(UsageError):
                    ask(wrong)

    # Texts and documents

    def test_text_round_trip(self, space: SearchSpace) -> None:
        """``encode`` reads what ``decode`` wrote."""
        for x in space.sample(np.random.default_rng(7), 20):
            np.testing.assert_array_equal(space.encode(space.decode(x)), x)

    @pytest.mark.parametrize("text", ["", ",", "nonsense", "|nonsense~0|"])
    def test_wrong_texts_are_refused(self, space: SearchSpace, text: str) -> None:
        """A text that is no architecture is a UsageError."""
        with pytest.raises(UsageError):
            space.encode(text)

    def test_json_round_trip(self, space: SearchSpace) -> None:
        """``from_json`` reads what ``to_json`` wrote, by way of a file."""
        for x in space.sample(np.random.default_rng(8), 20):
            np.testing.assert_array_equal(space.from_json(json.loads(_text(space, x))), x)

    def test_wrong_documents_are_refused(self, space: SearchSpace, X: IntArray) -> None:
        """Another format, version or space, and missing or unknown choices, are UsageErrors."""
        good = space.to_json(X[0])
        name = space.choices[0].name
        fewer = {key: value for key, value in good["choices"].items() if key != name}
        wrongs: list[object] = [
            None,
            [],
            "text",
            {},
            {**good, "format": "another"},
            {**good, "version": 99},
            {**good, "space": {"name": space.name, "options": {}}},
            {**good, "choices": None},
            {**good, "choices": fewer},
            {**good, "choices": {**good["choices"], "another": "skip"}},
            {**good, "choices": {**good["choices"], name: "another"}},
            {**good, "choices": {**good["choices"], name: 0}},
        ]
        for wrong in wrongs:
            with pytest.raises(UsageError):
                space.from_json(wrong)

    def test_hashes_tell_architectures_apart(self, space: SearchSpace) -> None:
        """As many hashes as different architectures, equal for equal ones in any guise."""
        X = space.sample(np.random.default_rng(9), 200)
        assert len({space.hash(x) for x in X}) == len(np.unique(X, axis=0))
        assert space.hash(X[0].tolist()) == space.hash(X[:1]) == space.hash(X[0])
        assert space.hash(X[0]).startswith("a1:")

    def test_inactive_choices_do_not_count(self, space: SearchSpace) -> None:
        """Architectures that differ in inactive choices alone are one architecture."""
        X = space.sample(np.random.default_rng(10), 50)
        for column, choice in enumerate(space.choices):
            if choice.active is None:
                continue
            parent, options = choice.active
            parent_column = [one.name for one in space.choices].index(parent)
            names = np.array(space.choices[parent_column].options)
            changed = X.copy()
            changed[:, column] = len(choice.options) - 1
            inactive = ~np.isin(names[X[:, parent_column]], options)
            np.testing.assert_array_equal(space.check(changed)[inactive], X[inactive])

    # Blocks

    def test_one_hot_marks_the_options(self, space: SearchSpace, X: IntArray) -> None:
        """Each choice has one 1, at its option."""
        encoded = space.one_hot(X)
        assert encoded.shape == (len(X), sum(space.sizes))
        starts = np.cumsum([0, *space.sizes])
        for column in range(len(space.choices)):
            part = encoded[:, starts[column] : starts[column + 1]]
            np.testing.assert_array_equal(part.sum(axis=1), 1)
            np.testing.assert_array_equal(part.argmax(axis=1), X[:, column])

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


def _text(space: SearchSpace, x: IntArray) -> str:
    return json.dumps(space.to_json(x))
