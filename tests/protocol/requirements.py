"""What the ChatKit protocol requires of this server, one sentence each; tests name what they verify with `@covers`.

`traps` names the entries of docs/traps.md behind a requirement.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

Test = TypeVar("Test", bound=Callable[..., Any])


class Requirement(NamedTuple):
    """A statement that must hold."""

    id: str
    sentence: str
    traps: str = ""


REQUIREMENTS = [
    Requirement(*line)
    for line in (
        # Operations
        ("threads.create", "A first message creates a thread, is echoed, and is answered"),
        ("threads.add_user_message", "A further message is echoed and answered"),
        (
            "threads.add_client_tool_output",
            "The output of a client tool completes the pending call and resumes the run",
            "T30",
        ),
        ("threads.add_structured_input", "Answers are saved in the question, and the run resumes"),
        ("threads.retry_after_item", "Everything after the user's message is replaced by a new answer", "T9"),
        ("threads.custom_action", "An action of a widget or of the page is answered by a stream"),
        ("threads.get_by_id", "A thread is loaded with its first page of items"),
        ("threads.list", "Threads are listed newest first, or oldest first on request"),
        ("threads.update", "A thread gets the title that its user sets"),
        ("threads.delete", "A thread is deleted with everything that belongs to it"),
        ("items.list", "Items are listed in the requested order, after a cursor"),
        ("items.feedback", "A vote is saved, and a later one replaces it", "T39"),
        ("attachments.create", "Without an attachment store: a clear `not_available`; with one: the attachment"),
        ("attachments.delete", "Without an attachment store: a clear `not_available`; with one: it is deleted"),
        ("input.transcribe", "Without dictation: a clear `not_available`; with it: the text"),
        ("threads.sync_custom_action", "The updated item is returned and saved", "T20"),
        # Items
        ("item.user_message", "A user message shows live and after a reload"),
        ("item.assistant_message", "An assistant message shows live and after a reload"),
        ("item.client_tool_call", "A client tool call is sent once, as `done` and pending, and is skipped on load"),
        ("item.widget", "A widget shows live and after a reload"),
        ("item.generated_image", "A generated image shows live and after a reload"),
        ("item.structured_input", "A question shows live and after a reload"),
        ("item.workflow", "A workflow shows live and after a reload"),
        ("item.task", "A task shows live and after a reload"),
        ("item.hidden_context_item", "Hidden context never leaves the server", "T27"),
        ("item.sdk_hidden_context", "The SDK's hidden context never leaves the server", "T27"),
        ("item.end_of_turn", "An end of turn is sent live and after a reload"),
        ("hidden.events", "Hidden items are in no event: added, updated, done, replaced, removed", "T27"),
        ("hidden.model", "Hidden context reaches the model"),
        # Refusals, for a frame and for any other client
        ("refusal.invalid_json", "A body that is not JSON is refused", "T37"),
        ("refusal.not_an_object", "A body that is not an object is refused", "T37"),
        ("refusal.unknown_operation", "An unknown operation is refused", "T37"),
        ("refusal.invalid_params", "Invalid params are refused without repeating what the user typed", "T37"),
        ("refusal.unknown_thread", "An unknown thread is not found", "T7"),
        ("refusal.foreign_thread", "Another user's thread looks like an unknown one"),
        ("refusal.locked_thread", "A locked thread refuses messages and says why", "T14"),
        ("refusal.closed_thread", "A closed thread refuses messages and says why", "T14"),
        ("refusal.body_too_large", "A body over the limit is refused, with or without a content length"),
        ("refusal.empty_message", "A message without text and attachments is refused"),
        ("refusal.unknown_retry_item", "A retry of an unknown item is refused", "T9"),
        ("refusal.retry_of_an_answer", "A retry of anything but a user's message is refused", "T9"),
        ("refusal.action_of_no_widget", "An action of an item that is not a widget is refused"),
        ("refusal.unknown_action", "An unknown action is refused"),
        ("refusal.no_pending_tool", "A tool output without a pending call is refused", "T7, T30"),
        ("refusal.no_question", "An answer to an item that is not a question is refused"),
        ("refusal.answered_twice", "A question is answered once"),
        ("refusal.unknown_attachment", "An unknown attachment is refused and leaves no thread behind", "T8"),
        ("refusal.foreign_attachment", "Another user's attachment looks like an unknown one", "T13"),
        ("refusal.attachment_elsewhere", "An attachment of another thread, or not uploaded yet, is refused", "T13"),
        ("refusal.writes_nothing", "A refused request leaves the database unchanged", "T7, T8"),
        (
            "refusal.one_answer",
            "A refused frame gets status 200 and one error, and so does not retry",
        ),
        ("refusal.plain_status", "Any other client gets the status code and JSON with code, message, request_id"),
        ("refusal.query", "An operation that does not stream is refused with a status, also for a frame"),
        ("accept.lost", "A frame whose accept header was removed still gets a stream"),
        # The wire
        ("sse.headers", "A stream is text/event-stream, uncached, untransformed, unbuffered, and names its turn"),
        ("sse.ids", "Each frame of a stream has an id, counted from 1"),
        ("sse.pings", "A stream sends pings during silence, before and within its text, and only then"),
        ("sse.options", "A stream says that it can be stopped"),
        ("wire.utc", "Every time on the wire is UTC with an offset, whatever the agent stamped", "T17, T18"),
        ("wire.unicode", "Text comes back as it was sent, with any characters"),
        # Pages
        ("page.limits", "Every limit is clamped, none is refused", "T38"),
        (
            "page.cursor",
            "The id of the last visible item is a cursor; so is any other item's of the thread",
        ),
        ("page.unknown_cursor", "An unknown or a foreign cursor is not found"),
        ("page.never_empty", "No page is empty while there are more items, however many are hidden", "T28"),
        ("page.no_metadata", "Metadata that an integration stores stays on the server"),
        # Threads
        ("thread.title", "The title of a new thread is the beginning of its message"),
        ("thread.agent_changes", "Changes that an agent makes to its thread are saved and sent at once", "T15"),
        ("thread.rename_during_turn", "A title set during a turn is kept", "T15"),
        ("thread.status_shown", "A locked or closed thread shows its status and reason"),
        ("feedback.foreign", "Votes that include an item of another thread or user are refused entirely", "T39"),
        # Client tools, questions, retries
        ("tool.hidden_between", "An output finds its call behind hidden items", "T30"),
        ("tool.abandoned", "A thread whose client tool never answered accepts the next message"),
        ("question.skipped", "A skipped question, a skipped answer and a missing answer are distinguished"),
        ("retry.middle", "A retry of an earlier message removes everything after it"),
        ("retry.failed", "The old answer is restored if the new one fails before any output", "T9"),
        ("order.first_appearance", "A reload shows items in the order in which they appeared", "T25"),
        ("ids.distinct", "Items keep distinct ids even if every provider id is the same", "T5, T6"),
    )
]


def covers(*ids: str) -> Callable[[Test], Test]:
    """Declare which requirements a test verifies."""

    def mark(test: Test) -> Test:
        setattr(test, "covered", ids)  # noqa: B010 - a function has no such attribute for mypy
        return test

    return mark
