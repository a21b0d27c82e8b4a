"""What quantities are, in words that a page shows."""

from typing import NamedTuple

from poise.inspection.silencing import Instead


class Told(NamedTuple):
    """What a policy is told in the place of something.

    Attributes:
        head: of the column of what is lost.
        name: sentence of which {} is what is silenced.
        meaning: what is done, exactly.
    """

    head: str
    name: str
    meaning: str

    def of(self, silenced: str) -> str:
        """What one silencing is called."""
        return self.name.format(silenced)


INSTEAD: dict[Instead, Told] = {
    "mean": Told(
        "return lost, told the mean",
        "{} always says its mean",
        "Always its mean: each of its numbers stands at its mean over the training, as of a sensor that is stuck; over "
        "these episodes where the policy normalises nothing.",
    ),
    "another's": Told(
        "return lost, told another's",
        "{} is another robot's",
        "Another robot's: what it says is true of another robot at the same time, so that it varies as it always does "
        "and says nothing of this one. It misleads, where a stuck sensor only keeps silent.",
    ),
    "withheld": Told(
        "return lost, withheld",
        "{} is withheld",
        "Withheld: replaced by what the policy has learned to put in its place, as while it was trained with dropout.",
    ),
}

ATTENTION = {
    "weighted_sum": "the learned weights of the sum, the same at every moment",
    "cross_attention": "what the asking modality takes of each other one's tokens, a mean over the heads",
    "hierarchical_attention": "what the last pooling takes of each modality, times what the pooling within it takes of "
    "each token; what they have taken of each other before is not told apart",
    "vision_language_action": "what the asking modality, together with the instruction, takes of each token that is "
    "seen, a mean over the heads",
    "transformer": "what the pooled features take of each token in the last step, a mean over the heads; what the "
    "layers before have mixed is not told apart",
}
"""Of ways of fusing that attend, what their weights are."""

NO_ATTENTION = (
    "Nothing attends in this policy, so there are no weights to show; the gradient tells what the actions follow at "
    "each moment."
)
