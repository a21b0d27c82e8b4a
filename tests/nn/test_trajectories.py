import torch
from torch.testing import assert_close

from poise.nn import Trajectories

STARTS = torch.tensor([[False, True], [False, False], [True, False], [False, True]])  # (4, 2)
STEPS = torch.tensor([[1, 5], [2, 6], [3, 7], [4, 8]])


def test_the_pieces_stand_side_by_side() -> None:
    pieces = Trajectories(STARTS)
    assert pieces.pad(STEPS).tolist() == [[1, 3, 5, 8], [2, 4, 6, 0], [0, 0, 7, 0]]
    assert pieces.masks.tolist() == [[True] * 4, [True, True, True, False], [False, False, True, False]]


def test_only_what_goes_on_remembers() -> None:
    states = torch.tensor([[[1.0], [2.0]]])  # (1, 2, 1); the second environment starts afresh with the first row
    assert Trajectories(STARTS).states_before(states).flatten().tolist() == [1.0, 0.0, 0.0, 0.0]


def test_padding_is_undone() -> None:
    generator = torch.Generator().manual_seed(0)
    for steps, envs, share in ((1, 1, 0.0), (7, 3, 0.0), (7, 3, 1.0), (20, 5, 0.2), (33, 1, 0.5), (2, 40, 0.3)):
        starts = torch.rand(steps, envs, generator=generator) < share
        values = torch.randn(steps, envs, 2, 3, generator=generator)
        pieces = Trajectories(starts)
        padded = pieces.pad(values)
        assert_close(pieces.unpad(padded), values, rtol=0, atol=0)
        assert not padded[~pieces.masks].any()
        assert int(pieces.masks.sum()) == steps * envs
