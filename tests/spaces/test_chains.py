"""The chains: their sizes as published, their options, and what their blocks are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import latbench
from latbench.errors import UsageError
from latbench.spaces.options import stages, whole


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("mobilenet", 7**15 * 6**6),
        ("fbnet", 9**22),
        ("fbnet-lecture", 9**20),
        ("nasbench201", 5**6),
        ("darts", (1 * 3 * 6 * 10 * 7**14) ** 2),
        ("digits-mobilenet", 5**6 * 4**2),
    ],
)
def test_sizes_are_the_published_ones(name: str, size: int) -> None:
    """ProxylessNAS, FBNet, its lecture version and NAS-Bench-201 have their known sizes."""
    assert latbench.space(name).size == size


def test_the_lecture_space_has_a_table_of_180_entries() -> None:
    """20 places with 9 blocks each; the two single layers are fixed."""
    space = latbench.space("fbnet-lecture")
    assert space.sizes == (9,) * 20
    assert sum(space.sizes) == 180
    assert {choice.name.split(".")[0] for choice in space.choices} == {
        f"stage{number}" for number in range(2, 7)
    }
    base, _ = space.option_counts()
    fixed = {block.key for block, count in zip(space.blocks, base, strict=True) if count}
    assert fixed == {
        "conv-k3-s2-c3-16-relu@3x224x224",
        "mb-e1-k3-s1-c16-16-relu-full@16x112x112",
        "mb-e6-k3-s1-c184-352-relu-full@184x7x7",
        "conv-k1-s1-c352-1504-relu+classifier-c1504-1000@352x7x7",
    }


def test_mobilenet_is_the_chain_of_proxylessnas() -> None:
    """21 places of 6 stages; ``skip`` exactly where width and stride are kept."""
    space = latbench.space("mobilenet")
    assert len(space.choices) == 21
    without_skip = [choice.name for choice in space.choices if "skip" not in choice.options]
    assert without_skip == [f"stage{number}.1" for number in range(1, 7)]
    assert space.choices[0].options == ("mb3k3", "mb3k5", "mb3k7", "mb6k3", "mb6k5", "mb6k7")
    assert space.choices[1].options == (*space.choices[0].options, "skip")


def test_mobilenet_widths_are_a_setting() -> None:
    """The wider variant of UNAS is a matter of options; its chain has 21 places too."""
    space = latbench.space(
        "mobilenet",
        settings=[[32, 4, 2], [56, 4, 2], [112, 4, 2], [128, 4, 1], [256, 4, 2], [432, 1, 1]],
        stem_width=40,
        first_width=24,
        head_width=1728,
    )
    assert space.size == 7**15 * 6**6
    keys = [block.key for block in space.blocks]
    assert keys[0].startswith("conv-k3-s2-c3-40-relu6+mb-e1-k3-s1-c40-24")
    assert keys[-1] == "conv-k1-s1-c432-1728-relu6+classifier-c1728-1000@432x7x7"


def test_skipping_leaves_nothing_to_run() -> None:
    """With every possible ``skip`` only the first block of each stage is left."""
    space = latbench.space("mobilenet")
    x = [len(choice.options) - 1 for choice in space.choices]
    assert space.path(x).sum() == len(["stem", "head"]) + 6


def test_mobilenet_costs_what_is_published() -> None:
    """All blocks of expansion 6 and kernel 3 at MobileNetV2's widths cost what MobileNetV2 does.

    Its paper states 300 million multiply-accumulates and 3.4 million parameters (table 4).
    """
    widths = [[24, 2, 2], [32, 3, 2], [64, 4, 2], [96, 3, 1], [160, 3, 2], [320, 1, 1]]
    space = latbench.space("mobilenet", settings=widths)
    x = [choice.options.index("mb6k3") for choice in space.choices]
    assert space.macs(x)[0] == pytest.approx(300e6, rel=0.01)
    assert space.params(x)[0] == pytest.approx(3.4e6, rel=0.04)


def test_larger_images_cost_more_and_weigh_the_same() -> None:
    """Twice the side is four times the multiply-accumulates, up to the classifier."""
    small, large = (latbench.space("fbnet", image_size=size) for size in (96, 192))
    X = small.sample(np.random.default_rng(0), 5)
    np.testing.assert_array_equal(small.params(X), large.params(X))
    np.testing.assert_allclose(large.macs(X) / small.macs(X), 4, rtol=0.1)


@pytest.mark.parametrize(
    "options",
    [
        {"image_size": 0},
        {"image_size": 96.0},
        {"image_size": "96"},
        {"image_size": True},
        {"classes": -1},
        {"settings": []},
        {"settings": "24,4,2"},
        {"settings": [[24, 4]]},
        {"settings": [[24, 4, 0]]},
        {"settings": [24, 4, 2]},
        {"setting": [[24, 4, 2]]},
    ],
)
def test_wrong_options_are_refused(options: Mapping[str, Any]) -> None:
    """An option that is no option, or has another form, is a UsageError that shows the value."""
    with pytest.raises(UsageError):
        latbench.space("mobilenet", **options)


def test_messages_name_the_option_and_the_value() -> None:
    """What is wrong is named, and what would be right."""
    with pytest.raises(UsageError, match=r"image_size must be a whole number .*, got '96'"):
        whole("image_size", "96", 1, 4096)
    with pytest.raises(UsageError, match=r"such as \[\[24,4,2\],\[40,4,2\]\]; got \[24, 4\] in it"):
        stages("settings", [[24, 4]])


def test_spaces_with_other_options_are_other_spaces() -> None:
    """An architecture of one image size is no architecture of another, though both have it."""
    small, large = (latbench.space("digits-mobilenet", image_size=size) for size in (16, 32))
    x = small.sample(np.random.default_rng(0), 1)[0]
    assert small.hash(x) != large.hash(x)
    with pytest.raises(UsageError, match="not of"):
        large.from_json(small.to_json(x))
