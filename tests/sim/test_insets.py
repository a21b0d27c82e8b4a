"""Depth images on pictures."""

import numpy as np

from poise.sim.insets import draw_depth


def test_near_is_yellow_and_far_is_dark() -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    near, far = np.zeros((4, 4), np.float32), np.full((4, 4), 2.0, np.float32)
    drawn = draw_depth(picture, [near, far], max_depth=2.0)
    left, right = drawn[400, 640 - 18 - 112 - 6 - 56], drawn[400, 640 - 18 - 56]
    np.testing.assert_array_equal(left, [253, 231, 37])  # the ends of viridis
    np.testing.assert_array_equal(right, [68, 1, 84])
    assert not drawn[:320].any()
    assert not drawn[:, :380].any()
    assert not picture.any()
