"""Depth images on pictures."""

import numpy as np

from poise.sim.insets import draw_depth


def test_near_is_yellow_and_far_is_dark() -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    near, far = np.zeros((4, 4), np.float32), np.full((4, 4), 2.0, np.float32)
    drawn = draw_depth(picture, [near, far], max_depth=2.0)
    left, right = drawn[78, 640 - 18 - 96 - 6 - 48], drawn[78, 640 - 18 - 48]
    np.testing.assert_array_equal(left, [253, 231, 37])  # the ends of viridis
    np.testing.assert_array_equal(right, [68, 1, 84])
    assert not drawn[160:].any()
    assert not drawn[:, :400].any()
    assert not picture.any()


def test_a_scale_tells_what_the_colours_mean() -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    drawn = draw_depth(picture, [np.ones((4, 4), np.float32)] * 2, max_depth=1.0)
    bar = drawn[12 + 18 + 96 + 9].astype(int)
    yellow = np.flatnonzero(np.abs(bar - [253, 231, 37]).max(axis=1) < 8)
    dark = np.flatnonzero(np.abs(bar - [68, 1, 84]).max(axis=1) < 8)
    assert len(yellow)
    assert len(dark)
    assert yellow.max() < dark.min() - 80
