"""What the ChatKit protocol asks of this server, one sentence each; tests say with `@covers` which they hold.

Sources: P is PROTOCOL.md with its section, T a trap, D DESIGN.md, C chatkit's own types and server (1.6.5).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

Test = TypeVar("Test", bound=Callable[..., Any])


class Requirement(NamedTuple):
    """One thing that must hold."""

    id: str
    sentence: str
    source: str


REQUIREMENTS = [
    Requirement(*line)
    for line in (
        # Operations
        ("threads.create", "A first message makes a thread, is echoed, and is answered", "P Operations"),
        ("threads.add_user_message", "A further message is echoed and answered", "P Operations"),
        (
            "threads.add_client_tool_output",
            "A page's tool output completes the pending call and the run goes on",
            "T30",
        ),
        ("threads.add_structured_input", "Answers are put into the question, and the run goes on", "P Stop…actions"),
        ("threads.retry_after_item", "Everything after the user's message is replaced by a new answer", "P Stop…, T9"),
        ("threads.custom_action", "An action of a widget or of the page is answered by a stream", "P Stop…actions"),
        ("threads.get_by_id", "A thread is loaded with its first page of items", "P Loading"),
        ("threads.list", "Threads come newest first, or oldest first when asked", "P Loading"),
        ("threads.update", "A thread gets the name that its user gives it", "P Operations"),
        ("threads.delete", "A thread goes with everything that hangs on it", "P Operations"),
        ("items.list", "Items come in the order asked for, after a cursor", "P Loading"),
        ("items.feedback", "A vote is kept in SQL, the later one in place of the earlier", "T39"),
        ("attachments.create", "Without an attachment store: a clear `not_available`; with one: the attachment", "D"),
        ("attachments.delete", "Without an attachment store: a clear `not_available`; with one: it is gone", "D"),
        ("input.transcribe", "Without dictation: a clear `not_available`; with it: the text", "D, P Attachments"),
        ("threads.sync_custom_action", "The updated item is answered and saved", "T20"),
        # Items
        ("item.user_message", "A user message shows live and after a reload", "C"),
        ("item.assistant_message", "An assistant message shows live and after a reload", "C"),
        ("item.client_tool_call", "A client tool call comes once, as `done` and pending, and is skipped on load", "P"),
        ("item.widget", "A widget shows live and after a reload", "C"),
        ("item.generated_image", "A generated image shows live and after a reload", "C"),
        ("item.structured_input", "A question shows live and after a reload", "C"),
        ("item.workflow", "A workflow shows live and after a reload", "C"),
        ("item.task", "A task shows live and after a reload", "C"),
        ("item.hidden_context_item", "Hidden context never leaves the server", "T27"),
        ("item.sdk_hidden_context", "The SDK's hidden context never leaves the server", "T27"),
        ("item.end_of_turn", "An end of turn is sent live and after a reload", "C"),
        ("hidden.events", "Hidden items are in no event: added, updated, done, replaced, removed", "T27"),
        ("hidden.model", "Hidden context reaches the model", "C"),
        # The Rule: what is refused, for a frame and for any other client
        ("refusal.invalid_json", "A body that is no JSON is refused", "P Rule, T37"),
        ("refusal.not_an_object", "A body that is no object is refused", "P Rule, T37"),
        ("refusal.unknown_operation", "An unknown operation is refused", "P Rule, T37"),
        ("refusal.invalid_params", "Params that do not fit are refused without repeating what the user typed", "T37"),
        ("refusal.unknown_thread", "An unknown thread is not found", "P Rule, T7"),
        ("refusal.foreign_thread", "A stranger's thread looks like an unknown one", "P Rule"),
        ("refusal.locked_thread", "A locked thread takes no message and says why", "T14"),
        ("refusal.closed_thread", "A closed thread takes no message and says why", "T14"),
        ("refusal.body_too_large", "A body over the limit is refused, announced or not", "P Rule"),
        ("refusal.empty_message", "A message without text and attachments is refused", "P Rule"),
        ("refusal.unknown_retry_item", "A retry of an unknown item is refused", "T9"),
        ("refusal.retry_of_an_answer", "A retry of anything but a user's message is refused", "P Stop…, T9"),
        ("refusal.action_of_no_widget", "An action that comes from an item which is no widget is refused", "C"),
        ("refusal.unknown_action", "An action that the server does not know is refused", "C"),
        ("refusal.no_pending_tool", "An output that no call waits for is refused", "T7, T30"),
        ("refusal.no_question", "An answer to an item that asks nothing is refused", "C"),
        ("refusal.answered_twice", "A question is answered once", "C"),
        ("refusal.unknown_attachment", "An unknown attachment is refused and leaves no thread behind", "T8"),
        ("refusal.foreign_attachment", "A stranger's attachment looks like an unknown one", "T13"),
        ("refusal.attachment_elsewhere", "An attachment of another thread, or not uploaded yet, is refused", "T13"),
        ("refusal.writes_nothing", "A refused request leaves the database as it was", "T7, T8"),
        (
            "refusal.one_answer",
            "A frame that is refused gets 200 and one error, and so does not post again",
            "P Status",
        ),
        ("refusal.plain_status", "Any other client gets the status code and JSON with code, message, request_id", "P"),
        ("refusal.query", "An operation that does not stream is refused by its status, to a frame too", "P Status"),
        ("accept.lost", "A frame whose accept header was taken away still gets a stream", "P Rule"),
        # The wire
        ("sse.headers", "A stream is text/event-stream, uncached, untransformed, unbuffered, and names its turn", "D"),
        ("sse.ids", "Each frame of a stream has an id, counted from 1", "D"),
        ("sse.pings", "A silent stream is pinged, before and amid its text; a talking one is not", "D, P Status"),
        ("sse.options", "A stream says that it can be stopped", "P Stop"),
        ("wire.utc", "Every time on the wire is UTC with an offset, whatever the agent stamped", "T17, T18"),
        ("wire.unicode", "Text comes back as it was sent, whatever characters are in it", "C"),
        # Pages
        ("page.limits", "Any limit is clamped, none is refused", "T38"),
        (
            "page.cursor",
            "The id of the last visible item is a cursor; so is any other item's of the thread",
            "P Loading",
        ),
        ("page.unknown_cursor", "An unknown or a foreign cursor is not found", "P Loading"),
        ("page.never_empty", "No page is empty while there is more, however many items are hidden", "T28"),
        ("page.no_metadata", "What an integration keeps in metadata stays on the server", "C"),
        # Threads
        ("thread.title", "A new thread is called by the first words of its message", "D"),
        ("thread.agent_changes", "What an agent changes in its thread is saved and told at once", "T15"),
        ("thread.rename_during_turn", "A name given while an answer runs is kept", "T15"),
        ("thread.status_shown", "A locked or closed thread shows its status and reason", "P Stop…actions"),
        ("feedback.foreign", "A vote on an item of another thread or user is refused, whole", "T39"),
        # Clients' tools, questions, retries
        ("tool.hidden_between", "An output finds its call behind hidden items", "T30"),
        ("tool.abandoned", "A thread whose tool never answered takes the next message", "P Stop…actions"),
        ("question.skipped", "A skipped question, a skipped answer and an answer to nothing are told apart", "P"),
        ("retry.middle", "A retry of an earlier message takes everything after it away", "P Stop…"),
        ("retry.failed", "The old answer returns when the new one fails before any output", "T9"),
        ("order.first_appearance", "A reload shows items in the order in which they appeared", "T25"),
        ("ids.distinct", "Items keep ids of their own when every provider id is the same", "T5, T6"),
    )
]


def covers(*ids: str) -> Callable[[Test], Test]:
    """Says which requirements a test holds."""

    def mark(test: Test) -> Test:
        setattr(test, "covered", ids)  # noqa: B010 - a function has no such attribute for mypy
        return test

    return mark
