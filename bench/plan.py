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
    worker_turns: int = 40
    short_rounds: int = 8
    """Of what takes little: a full collection of the garbage is in some samples, and not in their median."""
    few_rounds: int = 2
    """Of what takes long."""
    has_variants: bool = True
    """Whether ours is also measured without its fast path, and stock on a faster server."""
    capacity_growth: float = 1.15
    capacity_seconds: float = 2.5
    most_answers: int = 900
    """Where the search for the capacity ends."""
    burst_tokens: int = 20_000
    burst_seconds: float = 3.0
    unread_tokens: int = 60_000
    stock_unread_tokens: int = 20_000
    unread_clients: int = 8
    stops: int = 40
    starts: int = 400
    open_answers: int = 150
    first_turns: int = 1_000
    """Turns that fill the caches, before growth is measured."""
    many_turns: int = 5_000
    growth_samples: int = 20
    readers: tuple[int, ...] = (1, 10, 100)


FULL = Plan()
QUICK = replace(
    FULL,
    rounds=2,
    short_rounds=5,
    few_rounds=1,
    has_variants=False,
    seconds=1.0,
    turns=10,
    long_answers=(2_000, 10_000),
    items=(10_000, 100_000),
    capacity_growth=1.5,
    capacity_seconds=1.0,
    most_answers=500,
    burst_seconds=1.0,
    stock_unread_tokens=10_000,
    unread_clients=4,
    stops=20,
    starts=200,
    open_answers=60,
    first_turns=1_440,
    many_turns=2_400,
    growth_samples=6,
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
    worker_turns=2,
    few_rounds=1,
    capacity_growth=10.0,
    capacity_seconds=0.2,
    most_answers=40,
    burst_tokens=100,
    burst_seconds=0.2,
    unread_tokens=200,
    stock_unread_tokens=200,
    unread_clients=1,
    stops=2,
    starts=3,
    open_answers=3,
    first_turns=2,
    many_turns=4,
    growth_samples=2,
    readers=(1, 2),
)
"""Shows only that everything works."""
