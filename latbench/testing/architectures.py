"""Checks on the architectures of a space: sampled, checked, written and read.

They hold for every space, the one of a table too, which has no networks.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from latbench.errors import UsageError
from latbench.spaces import IntArray, SearchSpace
from latbench.testing.space_fixtures import SpaceFixtures

_LEAST_P = 1e-4

WRONG_ARCHITECTURES: dict[str, Callable[[IntArray], object]] = {
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


class ArchitectureChecks(SpaceFixtures):
    """One check a rule of :class:`latbench.spaces.architectures.Architectures`."""

    def test_its_size_is_the_product_of_its_options(self, space: SearchSpace) -> None:
        """``size`` counts every combination of options, exactly."""
        size = 1
        for choice in space.choices:
            size *= len(choice.options)
        assert space.size == size

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
            if choice.active is None and len(choice.options) > 1:
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

    @pytest.mark.parametrize("what", WRONG_ARCHITECTURES)
    def test_wrong_architectures_are_refused(
        self, space: SearchSpace, X: IntArray, what: str
    ) -> None:
        """What is no architecture of this space is a UsageError, for every way in."""
        wrong: Any = WRONG_ARCHITECTURES[what](X)
        for ask in (space.check, space.one_hot):
            with pytest.raises(UsageError):
                ask(wrong)

    def test_one_architecture_is_not_several(self, space: SearchSpace, X: IntArray) -> None:
        """Where one architecture is wanted, two or none are refused, not cut down to the first."""
        two = np.concatenate([X[:1], X[:1]])
        for ask in (space.decode, space.to_json, space.hash):
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

    # Encoding

    def test_one_hot_marks_the_options(self, space: SearchSpace, X: IntArray) -> None:
        """Each choice has one 1, at its option."""
        encoded = space.one_hot(X)
        assert encoded.shape == (len(X), sum(space.sizes))
        starts = np.cumsum([0, *space.sizes])
        for column in range(len(space.choices)):
            part = encoded[:, starts[column] : starts[column + 1]]
            np.testing.assert_array_equal(part.sum(axis=1), 1)
            np.testing.assert_array_equal(part.argmax(axis=1), X[:, column])


def _text(space: SearchSpace, x: IntArray) -> str:
    return json.dumps(space.to_json(x))
