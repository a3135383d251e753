"""What a function has got from its runs and questions so far."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from agents import Agent, RunContextWrapper, RunResultStreaming, RunState, ToolApprovalItem

from chatkit_store import PausedRun

from ..errors.author_code import FunctionEnded
from ..interactions.saved_run import Json, SavedRun, plain_context, restore_context
from .finished_run import failed_run, finished_run, restore_result


class TurnPaused(FunctionEnded):
    """The function waits for the user."""


class ReplayDiverged(FunctionEnded):
    """The function, called again, does something else than it did: its author has changed it."""


class RunRecording:
    """The runs and questions of one call of a function, and those of the call before that it repeats.

    The place of a run is the name of its agent and how many runs that agent had before. So two runs that are started
    at once keep their places, whichever comes first. Implements `agent_context.Recording`.
    """

    def __init__(self, replayed: Mapping[str, Any] | None = None, paused: SavedRun | None = None) -> None:
        """`replayed` is what `to_json` returned in the call that paused, `paused` the run that it waits for."""
        replayed = replayed or {}
        self._runs: dict[str, Json] = dict(replayed.get("runs", {}))
        self._results: dict[str, RunResultStreaming] = {}
        self._expected: set[str] | None = set(replayed["started"]) if "started" in replayed else None
        self._started: list[str] = []
        self._answers: list[bool] = list(replayed.get("answers", ()))
        self._paused = paused
        self._paused_place: str | None = replayed.get("place")
        self._has_reached_run = self._paused_place is None
        self._memo: Json = dict(replayed.get("memo", {}))
        self._run_counts: Counter[str] = Counter()
        self._question_count = 0
        self._current: tuple[str, Any] | None = None
        self.question: str | None = None
        """What the user is asked before the function can continue."""
        self.divergence: ReplayDiverged | None = None
        """Why the replay cannot continue."""

    @property
    def is_replaying(self) -> bool:
        """Whether the function has not yet come to the place where it paused."""
        return not self._has_reached_run or self._question_count < len(self._answers)

    @property
    def memo(self) -> Json:
        """What the caller of the function keeps across a pause: plain JSON."""
        return self._memo

    def decide(self, run: PausedRun) -> None:
        """Take the user's decisions: on the calls of the paused run, or the answer to the question."""
        if self._paused is not None:
            self._paused.decide(run)
        else:
            self._answers.append(all(approval.decision == "approved" for approval in run.approvals))

    def ask(self, message: str) -> bool:
        """Return the user's answer. Raises `TurnPaused` if the user has not been asked yet."""
        self._check_running()
        self._question_count += 1
        if self._question_count <= len(self._answers):
            return self._answers[self._question_count - 1]
        self.question = message
        raise TurnPaused

    def enter(self, agent: Agent[Any]) -> str:
        """Return the place of the next run. Raises `ReplayDiverged` if the earlier call had not begun it."""
        self._check_running()
        place = f"{agent.name}#{self._run_counts[agent.name]}"
        self._run_counts[agent.name] += 1
        if self.is_replaying and self._expected is not None and place not in self._expected:
            raise self._diverge(f"{place} is new")
        if place == self._paused_place:
            self._has_reached_run = True
        self._started.append(place)
        return place

    def is_recorded(self, place: str) -> bool:
        """Return whether the run has ended in an earlier call."""
        return place in self._runs

    def is_paused(self, place: str) -> bool:
        """Return whether this is the run that the function waited for."""
        return place == self._paused_place

    async def restore(self, place: str, agent: Agent[Any], context: Any) -> RunResultStreaming:
        """Return the result of a recorded run, or raise its error. Raises `ReplayDiverged` if it no longer fits."""
        saved = self._runs[place]
        if "error" in saved:
            return await restore_result(saved, agent, context)
        try:
            return await restore_result(saved, agent, context)
        except Exception as error:  # the SDK's and pydantic's errors, depending on what is missing
            raise self._diverge(f"the result of {place} does not fit any more") from error

    async def resume(self, agent: Agent[Any], context: Any) -> RunState[Any, Agent[Any]]:
        """Return the paused run with the decisions. Raises `ReplayDiverged` if the agent has changed."""
        assert self._paused is not None
        restore_context(self._memo.get("context"), context)
        state = await self._paused.restore(agent, RunContextWrapper(context))
        if state is None:
            raise self._diverge("the agent has changed")
        self._paused_place = None
        return state

    def begin(self, place: str, context: Any) -> None:
        """Note which run is the current one: if it pauses, it is saved with the recording."""
        self._current = (place, context)

    def finish(self, place: str, result: RunResultStreaming) -> None:
        """Record the result of a run. What the user has approved is no longer among its items: exports convert each of
        them for the next agent, which raises an error for an approval (agents 0.24)."""
        result.new_items = [item for item in result.new_items if not isinstance(item, ToolApprovalItem)]
        self._results[place] = result

    def fail(self, place: str, error: Exception) -> None:
        """Record the error of a run."""
        self._runs[place] = failed_run(error)

    def to_json(self) -> Json:
        """Return the recording with the place where it pauses now."""
        runs = self._runs | {place: finished_run(result) for place, result in self._results.items()}
        saved: Json = {"runs": runs, "answers": self._answers, "started": self._started, "memo": self._memo}
        if self.question is None and self._current is not None:
            saved["place"], context = self._current
            self._memo["context"] = plain_context(context)
        return saved

    def _check_running(self) -> None:
        """Raises the `TurnPaused` or `ReplayDiverged` again that the function has caught."""
        if self.divergence is not None:
            raise self.divergence
        if self.question is not None:
            raise TurnPaused

    def _diverge(self, reason: str) -> ReplayDiverged:
        self.divergence = ReplayDiverged(reason)
        return self.divergence
