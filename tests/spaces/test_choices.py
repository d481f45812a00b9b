"""Choices that matter only under others: what does not matter is not told apart."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from latbench.spaces import INPUT, Candidate, Choice, Identity, Node, SearchSpace
from latbench.spaces.convolution import Classifier, ConvBlock

SHAPE = (4, 8, 8)


class ConditionalSpace(SearchSpace):
    """A place that may be skipped; how wide its kernel is, and with which activation."""

    name: ClassVar[str] = "conditional"

    def __init__(self) -> None:
        choices = [
            Choice("place", ("conv", "skip")),
            Choice("kernel", ("3", "5"), active=("place", ("conv",))),
            Choice("second", ("relu", "none"), active=("kernel", ("5",))),
        ]
        nodes = [
            Node(
                "kernel",
                tuple(Candidate(ConvBlock(4, 4, kernel), (INPUT,)) for kernel in (3, 5)),
                choice=1,
            ),
            Node(
                "second",
                tuple(
                    Candidate(ConvBlock(4, 4, 1, activation=name), ("kernel",))
                    for name in ("relu", "none")
                ),
                choice=2,
            ),
            Node(
                "place",
                (Candidate(Identity(), ("second",)), Candidate(Identity(), (INPUT,))),
                choice=0,
            ),
            Node("head", (Candidate(Classifier(4, 2), ("place",)),)),
        ]
        super().__init__({}, choices, nodes, SHAPE)


SPACE = ConditionalSpace()


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ([0, 1, 1], [0, 1, 1]),
        ([0, 0, 1], [0, 0, 0]),
        ([1, 1, 1], [1, 0, 0]),
        ([1, 0, 0], [1, 0, 0]),
    ],
)
def test_inactive_entries_are_set_to_their_first_option(
    given: list[int], canonical: list[int]
) -> None:
    """Also where the choice that decides is itself inactive."""
    assert SPACE.check(given).tolist() == [canonical]
    assert SPACE.hash(given) == SPACE.hash(canonical)
    assert SPACE.decode(given) == SPACE.decode(canonical)
    assert SPACE.to_json(given) == SPACE.to_json(canonical)
    np.testing.assert_array_equal(SPACE.path(given).toarray(), SPACE.path(canonical).toarray())


def test_texts_of_inactive_options_are_read() -> None:
    """A user may leave a nonsensical option in the text; it is an architecture all the same."""
    np.testing.assert_array_equal(SPACE.encode("skip,5,none"), [1, 0, 0])


def test_samples_are_canonical_and_uniform_where_active() -> None:
    """What is inactive is never drawn; what is active is drawn evenly."""
    X = SPACE.sample(np.random.default_rng(0), 4000)
    np.testing.assert_array_equal(SPACE.check(X), X)
    kernels = X[X[:, 0] == 0, 1]
    assert 0.45 < kernels.mean() < 0.55
    assert not X[X[:, 0] == 1, 1:].any()
