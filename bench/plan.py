"""How much is measured: everything, or small samples of everything."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Plan:
    """The size of each measurement."""

    rounds: int = 4
    answers: int = 80
    """Answers at once."""
    rate: float = 30.0
    """Tokens per second of each."""
    seconds: float = 4.0
    """How long they are measured, after all have started."""
    long_answers: tuple[int, ...] = (2_000, 30_000)
    turns: int = 30
    """Short turns of a sample."""
    items: tuple[int, ...] = (10_000, 100_000, 400_000)
    """Rows in `thread_items`."""
    thread_items: tuple[int, ...] = (100, 1_000, 10_000)
    user_turns: int = 20_000
    short_rounds: int = 8
    """Of what takes little: a full collection of the garbage is in some samples, and not in their median."""
    few_rounds: int = 2
    """Of what takes long."""
    capacity_growth: float = 1.15
    capacity_seconds: float = 2.5
    most_answers: int = 900
    """Where the search for the capacity ends."""
    burst_tokens: int = 20_000
    burst_seconds: float = 3.0
    unread_tokens: int = 60_000
    unread_clients: int = 4
    stops: int = 40
    starts: int = 400
    open_answers: int = 150
    many_turns: int = 5_000
    readers: tuple[int, ...] = (1, 10, 100)


FULL = Plan()
QUICK = replace(
    FULL,
    rounds=2,
    short_rounds=5,
    few_rounds=1,
    seconds=1.2,
    turns=10,
    items=(10_000, 400_000),
    capacity_growth=1.5,
    capacity_seconds=1.0,
    burst_seconds=1.0,
    unread_tokens=20_000,
    unread_clients=2,
    stops=20,
    open_answers=60,
    many_turns=300,
    readers=(1, 50),
)
TINY = Plan(
    rounds=1,
    short_rounds=1,
    answers=3,
    seconds=0.3,
    long_answers=(50, 100),
    turns=1,
    items=(100, 200),
    thread_items=(10, 20),
    user_turns=20,
    few_rounds=1,
    capacity_growth=10.0,
    capacity_seconds=0.2,
    most_answers=40,
    burst_tokens=100,
    burst_seconds=0.2,
    unread_tokens=200,
    unread_clients=1,
    stops=2,
    starts=3,
    open_answers=3,
    many_turns=4,
    readers=(1, 2),
)
"""Shows only that everything works."""
