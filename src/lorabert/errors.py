"""One family of errors: what was wrong, what was got, what was expected, what to do next."""

from collections.abc import Iterable

from lorabert.naming import shortened

_LONGEST_NAME = 60
_LONGEST_GOT = 4_000  # a list of a hundred thousand entries may stand where a number should, and nobody reads it


def quoted(names: Iterable[str], most: int = 5) -> str:
    """Names as a message has them: in quotation marks, the first few, long ones cut in the middle."""
    listed = list(names)
    shown = ", ".join(f"'{name}'" for name in shortened(listed[:most], _LONGEST_NAME))
    return shown + (f" and {len(listed) - most:,} more" if len(listed) > most else "")


class InputError(Exception):
    """The user's input cannot be used; the command line prints the message and exits with 2.

    Args:
        wrong: what is wrong, as a sentence.
        got: what was found instead, if that helps; cut where it is very long.
        expected: what would have been accepted.
        fix: what to do next.
    """

    def __init__(self, wrong: str, *, got: str = "", expected: str = "", fix: str = "") -> None:
        got = got if len(got) <= _LONGEST_GOT else f"{got[:_LONGEST_GOT]}…"
        self.wrong, self.got, self.expected, self.fix = wrong, got, expected, fix
        parts = (wrong, got and f"Got {got}", expected and f"Expected {expected}", fix)
        super().__init__(" ".join(part if part.endswith("?") else part.rstrip(".") + "." for part in parts if part))


class MismatchError(InputError):
    """A folder, base or file is not the one that was recorded; names every mismatch at once.

    Args:
        what: the thing that was refused.
        problems: every mismatch found, one sentence each.
        fix: what to do next.
    """

    def __init__(self, what: str, problems: list[str], *, fix: str = "") -> None:
        self.problems = problems
        listed = "; ".join(problem.rstrip(".") for problem in problems)
        super().__init__(f"{what} was refused: {listed}", fix=fix)


class Diverged(InputError):
    """A training whose loss is no number any more: it has no adapter to leave.

    Args:
        where: such as `step 12`.
        rate: the learning rate that it trained at.
    """

    def __init__(self, where: str, rate: float) -> None:
        super().__init__(
            f"The training diverged: the loss of {where} is not a finite number",
            fix=f"Lower the learning rate (--train.learning_rate {rate / 10:g} instead of {rate:g}), or begin it more slowly "
            "(--train.warmup 0.1); with fp16 also try --train.precision fp32",
        )


class Unsupported(InputError):
    """The fast engine does not know this architecture or method; the reference engine does.

    Args:
        why: what it does not know, as a sentence.
    """

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why, fix="Use --train.engine auto or reference")
