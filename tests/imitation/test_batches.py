"""What is drawn of demonstrations, and how pictures are changed."""

import numpy as np
import pytest
import torch

from poise.errors import InvalidValueError
from poise.imitation.augmentation import AugmentationConfig, augment, erase, shift
from poise.imitation.batches import Batch, Corpus, split_by_episode
from poise.imitation.reader import LoadedEpisode

LENGTHS = (3, 7, 1, 12, 5)


def episode(number: int, length: int) -> LoadedEpisode:
    """Whose frames and actions tell where they are from."""
    told = np.stack([np.full(length, number), np.arange(length)], axis=1).astype(np.float32)
    pictures = np.tile(told[:, :, None, None], (1, 1, 2, 2)).astype(np.uint8)
    return LoadedEpisode(number, {"image": pictures, "state": told}, 10.0 * told)


EPISODES = [episode(number, length) for number, length in enumerate(LENGTHS)]


@pytest.fixture
def corpus() -> Corpus:
    return Corpus(EPISODES)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def place(state: torch.Tensor) -> tuple[int, int]:
    """Episode and frame."""
    return int(state[0]), int(state[1])


def test_every_frame_comes_once_with_its_own_action(corpus: Corpus) -> None:
    seen = []
    for batch in corpus.frames(10, generator()):
        assert batch.valid.all()
        assert torch.equal(batch.actions, 10 * batch.observation["state"])
        assert torch.equal(batch.observation["image"][0, :, :, 0, 0].float(), batch.observation["state"][0])
        seen += [place(state) for state in batch.observation["state"][0]]
    assert sorted(seen) == [(number, frame) for number, length in enumerate(LENGTHS) for frame in range(length)]
    assert seen != sorted(seen)


def test_chunks_stay_within_their_episode(corpus: Corpus) -> None:
    frames = 0
    for batch in corpus.chunks(8, 3, 4, generator()):
        frames += len(batch)
        for n in range(len(batch)):
            number, now = place(batch.observation["state"][2, n])
            before = [place(state) for state in batch.observation["state"][:, n]]
            assert before == [(number, max(now + step, 0)) for step in (-2, -1, 0)]
            assert batch.starts[:, n].tolist() == [frame == 0 for _, frame in before]
            there = [now + step < LENGTHS[number] for step in range(4)]
            assert batch.valid[:, n].tolist() == there
            actions = [place(action / 10) for action in batch.actions[:, n]]
            assert [action for action, real in zip(actions, there, strict=True) if real] == [
                (number, now + step) for step in range(4) if there[step]
            ]
    assert frames == sum(LENGTHS)


@pytest.mark.parametrize(("lanes", "steps"), [(1, 4), (2, 3), (5, 50)])
def test_streams_play_every_demonstration_in_order(corpus: Corpus, lanes: int, steps: int) -> None:
    batches = list(corpus.streams(lanes, steps, generator(3)))
    whole = Batch(
        {"state": torch.cat([batch.observation["state"] for batch in batches])},
        torch.cat([batch.actions for batch in batches]),
        torch.cat([batch.valid for batch in batches]),
        torch.cat([batch.starts for batch in batches]),
    )
    assert all(len(batch.actions) <= steps for batch in batches)
    assert torch.equal(whole.actions, 10 * whole.observation["state"])
    played = []
    for lane in range(lanes):
        for step in range(len(whole.valid)):
            if not whole.valid[step, lane]:
                continue
            number, frame = place(whole.observation["state"][step, lane])
            assert whole.starts[step, lane] == (frame == 0)
            if frame:
                assert played[-1] == (number, frame - 1)
            played.append((number, frame))
    assert sorted(played) == [(number, frame) for number, length in enumerate(LENGTHS) for frame in range(length)]


def test_more_lanes_than_demonstrations(corpus: Corpus) -> None:
    with pytest.raises(InvalidValueError, match="5 demonstrations, fewer than the 6 lanes"):
        next(corpus.streams(6, 4, generator()))


def test_the_split_is_by_episode_and_by_seed() -> None:
    train, held = split_by_episode(EPISODES, 0.4, 0)
    assert sorted(one.number for one in train + held) == [0, 1, 2, 3, 4]
    assert len(held) == 2
    assert [one.number for one in held] == [one.number for one in split_by_episode(EPISODES, 0.4, 0)[1]]
    assert len({tuple(one.number for one in split_by_episode(EPISODES, 0.4, seed)[1]) for seed in range(20)}) > 3
    assert [len(part) for part in split_by_episode(EPISODES, 0.0, 0)] == [4, 1]
    with pytest.raises(InvalidValueError, match="at least 2"):
        split_by_episode(EPISODES[:1], 0.1, 0)


def test_shifts_move_each_picture_by_itself_and_repeat_its_edges() -> None:
    pictures = torch.rand(64, 3, 6, 8, generator=generator())
    moved = shift(pictures, 2, generator(1))
    found = set()
    for before, after in zip(pictures, moved, strict=True):
        rows, columns = torch.arange(6), torch.arange(8)
        fits = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if torch.equal(before[:, (rows + down).clamp(0, 5)][:, :, (columns + right).clamp(0, 7)], after)
        ]
        assert len(fits) == 1
        found.add(fits[0])
    assert len(found) > 15  # of 25


def test_what_one_sees_at_several_moments_is_changed_alike() -> None:
    config = AugmentationConfig(shift=2, brightness=0.3, contrast=0.2, saturation=0.1, noise=0.05, erase=0.4)
    seen = torch.rand(8, 3, 10, 12, generator=generator()).expand(4, -1, -1, -1, -1)
    changed = augment(seen, config, generator(3))
    assert all(torch.equal(moment, changed[0]) for moment in changed)
    assert torch.equal(augment(seen[0], config, generator(3)), changed[0])
    assert not torch.equal(changed[0], seen[0])


def test_bytes_that_are_only_shifted_stay_bytes() -> None:
    pictures = torch.randint(256, (5, 3, 8, 8), dtype=torch.uint8, generator=generator())
    moved = augment(pictures, AugmentationConfig(shift=1), generator(1))
    assert moved.dtype == torch.uint8
    assert torch.equal(moved / 255.0, augment(pictures / 255.0, AugmentationConfig(shift=1), generator(1)))
    brighter = augment(pictures, AugmentationConfig(brightness=0.2), generator(1))
    assert brighter.dtype == torch.float32
    assert brighter.max() <= 1.0


def test_colours_by_hand() -> None:
    pictures = torch.rand(200, 3, 4, 4, generator=generator()) * 0.4 + 0.2  # nothing is cut off at 0 or 1
    brighter = augment(pictures, AugmentationConfig(brightness=0.3), generator(2)) / pictures
    factors = brighter[:, 0, 0, 0]
    assert torch.allclose(brighter, factors.view(-1, 1, 1, 1).expand_as(brighter), atol=1e-5)
    assert 0.7 <= factors.min() < 0.75
    assert 1.25 < factors.max() <= 1.3
    contrasted = augment(pictures, AugmentationConfig(contrast=0.3), generator(2))
    assert torch.allclose(contrasted.mean(dim=(1, 2, 3)), pictures.mean(dim=(1, 2, 3)), atol=1e-5)
    assert torch.allclose(contrasted.std(dim=(1, 2, 3)) / pictures.std(dim=(1, 2, 3)), factors, atol=1e-4)
    coloured = augment(pictures, AugmentationConfig(saturation=0.3), generator(2))
    assert torch.allclose(coloured.mean(dim=1), pictures.mean(dim=1), atol=1e-5)
    assert torch.equal(augment(pictures, AugmentationConfig(), generator()), pictures)
    noisy = augment(pictures, AugmentationConfig(noise=0.01), generator()) - pictures
    assert float(noisy.std()) == pytest.approx(0.01, rel=0.05)


def test_what_is_erased_is_a_grey_square() -> None:
    pictures = torch.rand(50, 3, 20, 30, generator=generator()) * 0.4
    erased = erase(pictures, 0.5, generator(1))
    for before, after in zip(pictures, erased, strict=True):
        changed = (before != after).any(dim=0)
        rows, columns = changed.any(dim=1).sum(), changed.any(dim=0).sum()
        assert int(changed.sum()) == int(rows * columns)  # a rectangle
        assert abs(int(rows) - int(columns)) <= 1
        assert max(int(rows), int(columns)) <= 11
        assert (after[:, changed] == 0.5).all()


def test_demonstrations_that_are_joined_are_those_of_one_corpus() -> None:
    lengths = (3, 5, 2, 4)
    episodes = [
        LoadedEpisode(
            number,
            {"image": np.full((length, 3, 4, 4), number, np.uint8), "state": np.full((length, 2), number, np.float32)},
            np.full((length, 1), number, np.float32),
        )
        for number, length in enumerate(lengths)
    ]
    whole, begun = Corpus(episodes), Corpus(episodes[:2])
    joined = begun.joined(episodes[2:])
    assert joined.fingerprint == whole.fingerprint
    assert begun.joined([]) is begun
    assert len(begun) == 8, "what was there stays"
    every = torch.arange(len(whole))
    one, other = (corpus.chunk_at(every, history=3, chunk=3) for corpus in (joined, whole))
    assert torch.equal(one.valid, other.valid)
    assert torch.equal(one.actions, other.actions)
    assert torch.equal(one.starts, other.starts)
