"""The loop around an algorithm: configuration, runner, callbacks, evaluation, checkpoints, logging and video."""
