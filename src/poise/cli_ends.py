"""How a command ends: the exit code, and the one sentence on the error stream when something went wrong."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from poise.errors import PoiseError
from poise.files import reason

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130  # as shells report an end by Ctrl-C

_NO_MEMORY = ("DefaultCPUAllocator", "out of memory", "Storage size calculation overflowed")
"""How torch says it, in a plain `RuntimeError`."""


def exit_code(command: Callable[[], int]) -> int:
    """Run `command`; mistakes of the user and refusals of the system become a sentence, bugs of ours stay visible."""
    try:
        with _plain_warnings():
            code = command()
            sys.stdout.flush()  # a reader that has gone is found out here, not while Python shuts down
            return code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # whoever read our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except PoiseError as error:
        return _fail(str(error))
    except (MemoryError, RuntimeError) as error:
        if not _lacks_memory(error):
            raise
        return _fail(
            "not enough memory; use fewer environments (env.num_envs) or robots, shorter rollouts "
            "(algorithm.num_steps), smaller networks (hidden_sizes) or smaller images"
        )
    except OSError as error:
        return _fail(f"{error.filename or 'the system'}: {reason(error)}")


def _lacks_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY)


def _fail(sentence: str) -> int:
    print("error:", " ".join(sentence.split()), file=sys.stderr)
    return EXIT_BAD_INPUT


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Warnings as one line without the place in the code, which tells a user nothing."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        print(f"warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
