"""Seeds that are set aside for judging policies: the training draws its own from 2**32, and hardly ever meets one."""

PLAY_SEED = 87
"""Of the episode that is filmed unless another is asked for: of seeds 0 to 99, which judge nothing, the one that brings
`models/ballbot` its median return (the upper one)."""

UNSEEN_PLAY_SEED = 800_000
"""The same of a policy that learned from demonstrations: those are of the first seeds, and so would 87 be."""

SELECTION_SEED = 900_000
"""Of the first episode of the evaluations during a training, which choose its best policy."""

EVALUATION_SEED = 1_000_000
"""Of the first episode of every other evaluation, unless another is asked for."""
