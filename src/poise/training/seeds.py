"""Seeds that are set aside for judging policies: the training draws its own from 2**32, and hardly ever meets one."""

SELECTION_SEED = 900_000
"""Of the first episode of the evaluations during a training, which choose its best policy."""

EVALUATION_SEED = 1_000_000
"""Of the first episode of every other evaluation, unless another is asked for."""
