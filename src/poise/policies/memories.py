"""What policies remember with."""

from poise.fusion import ObsSegments
from poise.nn import AnyMemory, ChangeMemory, Memory
from poise.policies.config import MemoryConfig


def build_memory(width: int, config: MemoryConfig) -> AnyMemory:
    """A memory that reads `width` numbers, as the configuration says."""
    return (ChangeMemory if config.changes else Memory)(width, config.type, config.num_layers, config.hidden_size)


def input_layers(name: str, memory: AnyMemory, reader: str, components: ObsSegments) -> dict[str, ObsSegments]:
    """Tensors of the state dict with a column for each number of the components that a memory reads.

    Args:
        name: of the memory in the state dict.
        memory: which.
        reader: name of the weights that read its output.
        components: what it reads.
    """
    if isinstance(memory, Memory):
        return {f"{name}.rnn.weight_ih_l0": components}
    # In brackets, so that no component has such a name.
    inputs = components.shapes | {f"(change of {each})": shape for each, shape in components.shapes.items()}
    return {
        f"{name}.memory.rnn.weight_ih_l0": ObsSegments(inputs),
        f"{name}.normalizer.mean": components,
        f"{name}.normalizer.var": components,
        reader: ObsSegments({"(memory)": (memory.memory.output_size,), **inputs}),
    }
