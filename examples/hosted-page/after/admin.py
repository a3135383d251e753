"""What the hosted set-up does with its threads: delete old ones every night, and print the transcript of one.

python admin.py retention 90        # deletes threads that were started more than 90 days ago
python admin.py transcript cthr_…   # prints who said what
"""

import os
import sys
import time
from collections.abc import Iterator

from openai import OpenAI

client = OpenAI(base_url="http://localhost:8000/v1", api_key=os.environ["CHAT_API_KEY"])


def delete_older_than(days: int) -> int:
    """Delete the threads that were started more than `days` ago, the oldest first; return how many."""
    limit = time.time() - days * 24 * 60 * 60
    count = 0
    for thread in client.beta.chatkit.threads.list(order="asc"):
        if thread.created_at > limit:
            break
        client.beta.chatkit.threads.delete(thread.id)
        count += 1
    return count


def transcript(thread_id: str) -> Iterator[str]:
    """Yield the title and the messages of a thread, the oldest first."""
    thread = client.beta.chatkit.threads.retrieve(thread_id)
    yield f"# {thread.title or 'Untitled'} ({thread.user})"
    for item in client.beta.chatkit.threads.list_items(thread_id, order="asc"):
        match item.type:
            case "chatkit.user_message":
                yield f"{thread.user}: {' '.join(part.text for part in item.content)}"
            case "chatkit.assistant_message":
                yield f"assistant: {' '.join(part.text for part in item.content)}"


def main(command: str, argument: str) -> None:
    """Run the command."""
    if command == "retention":
        print(delete_older_than(int(argument)), "threads deleted")  # noqa: T201  a script's output
    else:
        print("\n".join(transcript(argument)))  # noqa: T201  a script's output


if __name__ == "__main__":
    main(*sys.argv[1:3])
