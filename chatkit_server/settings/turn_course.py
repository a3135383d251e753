"""The course of a turn: batches, journal, deadlines."""

from typing import Literal

from pydantic import BaseModel, Field


class TurnSettings(BaseModel):
    """The course of a turn: batches, journal, deadlines."""

    flush_ms: float = Field(
        default=0.0,
        ge=0,
        le=1000,
        description="Milliseconds for which tokens are batched into one frame, for clients with slow lines; the first "
        "of a burst is sent at once. 0 sends each token at once; only those that arrive together, or while a client "
        "does not keep up, share a frame. A request may choose with the header `x-chatkit-flush-ms`.",
    )
    flush_tokens: int = Field(default=64, ge=1, description="A frame that has gathered this many tokens is sent early.")
    fast_path: bool = Field(
        default=True,
        description="Take plain text straight from the model's socket to the clients' connections, past the Agents SDK "
        "and the middlewares. The answers are the same without it, which costs more of the processor.",
    )
    journal_ms: float = Field(
        default=250.0,
        ge=0,
        le=10_000,
        description="Milliseconds of an answer that a server crash may lose. 0 disables the "
        "journal: a crash loses all of a running answer, and readers at other workers only see it once it is done.",
    )
    journal_keep_seconds: float = Field(
        default=300.0, ge=0, description="Seconds for which a turn's journal is kept after its end."
    )
    heartbeat_seconds: float = Field(
        default=5.0,
        gt=0,
        le=60,
        description="Seconds between two heartbeats of a worker. After 2.5 times that without one, it counts as dead, "
        "and another worker closes its turns.",
    )
    on_busy: Literal["interrupt", "reject"] = Field(
        default="interrupt",
        description="What happens to a message while its thread is still being answered: `interrupt` stops that answer "
        "and keeps its text so far, `reject` refuses the message.",
    )
    ping_seconds: float = Field(
        default=15.0, gt=0, description="Seconds of silence after which a stream sends a `: ping` comment."
    )
    first_event_seconds: float = Field(
        default=60.0, gt=0, description="Seconds within which a model must begin to answer, or the turn fails."
    )
    silence_seconds: float = Field(
        default=120.0,
        gt=0,
        description="Seconds that a model may be silent within its answer; running tools do not count.",
    )
    tool_call_seconds: float = Field(
        default=240.0,
        gt=0,
        description="Time limit in seconds for one call of an `async` tool without its own `timeout`. The model then "
        "gets an error as the tool's output, and continues.",
    )
    tool_threads: int = Field(
        default=32,
        ge=1,
        le=1000,
        description="How many synchronous tools (plain `def`) a worker runs at once; further calls wait.",
    )
    tool_seconds: float = Field(
        default=300.0, gt=0, description="Seconds that tools may run without a pause, or the turn fails."
    )
    turn_seconds: float = Field(default=1800.0, gt=0, description="Time limit for a whole turn, in seconds.")
    drain_seconds: float = Field(
        default=20.0, ge=0, description="Seconds that running turns get to finish when the server stops."
    )
    stop_seconds: float = Field(
        default=10.0,
        gt=0,
        description="Seconds that a stopped turn waits for its tools and its model call; then its answer is saved "
        "without them. A tool that is not `async` runs in an OS thread and cannot be cancelled.",
    )
    outage_seconds: float = Field(
        default=30.0,
        ge=0,
        description="Seconds for which a running turn repeats what it has to read or save while the database does not "
        "respond, so that a restart of the database does not cost an answer.",
    )
