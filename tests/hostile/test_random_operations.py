"""Users of one database send a thousand random requests each, in parallel: none ever gets a byte of another.

A third of the requests names ids of the others. Each user's texts, titles and files have a marker.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from agents import Agent
from chatkit.actions import Action
from chatkit.types import ThreadItemDoneEvent, ThreadMetadata, ThreadStreamEvent, WidgetItem
from sqlalchemy import text

from chatkit_server import RequestContext
from chatkit_store import Owner, new_id
from tests.conftest import GUARDED
from tests.databases import is_guarded, see_all
from tests.hostile.house import ALICE, STRANGERS, House, Ids, logged_in, open_house
from tests.hostile.routes import Attempt
from tests.hostile.sending import Seen, Try, tries_naming_nothing, tries_with
from tests.routes.asgi import Answer
from tests.stage import make_item

OWNERS = (ALICE, STRANGERS["another user"], STRANGERS["the same user id in another tenant"])
LANES = 4
"""Requests of one user that run at the same time."""
GUESSES = 0.35
CREATIONS = 0.15
SEED = 20261128
ID = re.compile(rb"\b([a-z]+)_[0-9a-f]{32}\b")
TEXTS = (
    "SELECT title AS words, tenant, user_id FROM threads",
    "SELECT i.payload AS words, t.tenant, t.user_id FROM thread_items i JOIN threads t ON t.id = i.thread_id",
    "SELECT n.transcript AS words, t.tenant, t.user_id FROM turns n JOIN threads t ON t.id = n.thread_id",
    "SELECT e.payload AS words, n.tenant, n.user_id FROM turn_events e JOIN turns n ON n.id = e.turn_id",
    "SELECT s.answer AS words, t.tenant, t.user_id FROM sync_actions s JOIN threads t ON t.id = s.thread_id",
    "SELECT payload AS words, tenant, user_id FROM attachments",
)
FILES = "SELECT id, tenant, user_id FROM attachments"


@dataclass
class Person:
    """A user, and everything that the server has ever sent to that user."""

    owner: Owner
    furnished: Ids
    marker: str
    seen: bytearray = field(default_factory=bytearray)
    known: dict[str, list[str]] = field(default_factory=dict)
    """The ids that the user has seen, by prefix."""
    refused: int = 0
    done: int = 0

    @property
    def headers(self) -> dict[str, str | bytes]:
        return dict(logged_in(self.owner))

    @property
    def ids(self) -> set[str]:
        return {each for ids in self.known.values() for each in ids}

    def take(self, answer: Answer) -> None:
        """Note what the response has."""
        whole = answer.body + b"\n".join(name + b": " + value for name, value in answer.headers)
        self.seen += whole + b"\n"
        for match in ID.finditer(whole):
            ids = self.known.setdefault(match[1].decode(), [])
            if match[0].decode() not in ids:
                ids.append(match[0].decode())

    def some_ids(self, random: Random, house: House) -> Ids:
        """Return one id of each kind among those of this user, old and new."""
        attachment = random.choice([self.furnished.attachment, *self.known.get("atc", [])])
        return replace(
            self.furnished,
            thread=random.choice([self.furnished.thread, *self.known["thr"]]),
            message=random.choice([self.furnished.message, *self.known["msg"]]),
            answer=random.choice([self.furnished.answer, *self.known["msg"]]),
            turn=random.choice([self.furnished.turn, *self.known.get("turn", [])]),
            attachment=attachment,
            pending=attachment,
            download=house.signature("download", attachment, self.owner),
            upload=house.signature("upload", attachment, self.owner),
        )


def marker_of(number: int) -> str:
    """Return a word that nobody else uses."""
    return f"marker{number}of{Random(f'{SEED} {number}').getrandbits(64):016x}"


def marked(value: Any, marker: str) -> Any:
    """Return parameters or a body with the marker in place of the word "mine"."""
    match value:
        case dict():
            return {key: marked(part, marker) for key, part in value.items()}
        case list() | tuple():
            return [marked(part, marker) for part in value]
        case str():
            return value.replace("mine", marker)
        case bytes():
            return value.replace(b"mine", marker.encode())
    return value


def with_marker(attempt: Try, marker: str) -> Try:
    """Return the attempt with the user's marker in its texts."""
    if isinstance(attempt.request, Attempt):
        request = replace(
            attempt.request,
            body=marked(attempt.request.body, marker),
            frames=marked(attempt.request.frames, marker),
        )
        return replace(attempt, request=request)
    operation, params = attempt.request
    return replace(attempt, request=(operation, marked(params, marker)))


def uses_of_files(own: Ids) -> Iterator[Try]:
    """Yield an upload in two steps and a download with the right signatures, under names of their own."""
    announced = {"name": "mine.txt", "size": len(marker_of(0)), "mime_type": "text/plain"}
    yield Try("announce a file", ("attachments.create", announced))
    path = f"/api/attachments/{own.attachment}/content"
    yield Try("GET a file", Attempt(path, query=f"token={own.download}".encode()))
    yield Try("PUT a file", Attempt(path, b"mine", query=f"token={own.upload}".encode()))


async def act(person: Person, others: list[Person], house: House, random: Random) -> None:
    """Send one random request and check the response."""
    own, choice = person.some_ids(random, house), random.random()
    is_guess = choice < GUESSES
    if is_guess:
        attempts = list(tries_with(random.choice(others).some_ids(random, house), own))
    elif choice < GUESSES + CREATIONS:
        attempts = list(tries_naming_nothing())
    else:
        attempts = [*tries_with(own, own), *uses_of_files(own)]
    name = random.choice(sorted({attempt.name for attempt in attempts}))  # some have many attempts, some have one
    attempt = with_marker(random.choice([attempt for attempt in attempts if attempt.name == name]), person.marker)
    headers = person.headers | ({"x-chatkit-detach": "1"} if random.random() < 0.1 else {})
    answer = await attempt.answer(house, headers)
    person.take(answer)
    assert answer.status < 500, f"{attempt}: {answer}"
    if is_guess:
        person.refused += 1
        assert Seen(answer, ()).is_refused, f"{person.owner}: {attempt} was not refused: {answer}"
    for other in others:
        assert other.marker.encode() not in answer.body, f"{person.owner}: {attempt} returned bytes of {other.owner}"
    person.done += 1


def play(house: House, people: list[Person]) -> None:
    """Let the demo model answer, which quotes the message, and let actions show the marker of their user."""
    markers = {person.owner: person.marker for person in people}

    async def choose(
        thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        content = [{"type": "output_text", "text": f"{markers[context.owner]} chose", "annotations": []}]
        item = make_item("assistant_message", thread, new_id("msg"), content=content)
        yield ThreadItemDoneEvent(item=item)

    house.stage.actions["choose"] = choose
    house.stage.sync_answer = lambda thread, sender: None
    house.stage.playing = Agent(name="Clerk")


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("database_url", "count"), [("sqlite", 1000), (GUARDED, 150)], indirect=["database_url"], ids=["sqlite", "guarded"]
)
async def test_users_in_parallel_never_get_a_byte_of_each_other(
    engine: object, database_url: str, count: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_house(tmp_path, database_url, row_security=is_guarded(database_url)) as house:
        people = [Person(owner, await house.furnish(owner), marker_of(number)) for number, owner in enumerate(OWNERS)]
        for person in people:
            person.known = {"thr": [person.furnished.thread], "msg": [person.furnished.message]}
        play(house, people)

        async def lane(person: Person, number: int) -> None:
            random = Random(f"{SEED} {person.marker} {number}")
            others = [other for other in people if other is not person]
            for _ in range(count // LANES):
                await act(person, others, house, random)

        await asyncio.gather(*(lane(person, number) for person in people for number in range(LANES)))
        for person in people:
            await look_at_everything(person, house)
        check_what_was_seen(people, count)
        await check_rows(people, house)
    for person in people:
        assert person.done == count // LANES * LANES
        assert person.marker not in caplog.text


async def look_at_everything(person: Person, house: House) -> None:
    """Load all threads of a user, with all items."""

    async def load(operation: str, **params: Any) -> Any:
        answer = await house.operation(operation, params, person.headers)
        person.take(answer)
        assert answer.status == 200
        return json.loads(answer.body)

    threads = (await load("threads.list", limit=9999, order="desc"))["data"]
    for thread in threads:
        await load("items.list", thread_id=thread["id"], limit=9999, order="asc")
    await asyncio.sleep(0)


def check_what_was_seen(people: list[Person], count: int) -> None:
    """Check that everybody has seen enough in `count` operations, and nothing of the others.

    How much is left to see depends on which of the parallel operations came first: some delete threads.
    """
    for person in people:
        assert person.seen.count(person.marker.encode()) >= count // 50
        assert person.refused > 0
        for other in people:
            if other is not person:
                assert other.marker.encode() not in person.seen
                assert not person.ids & other.ids, f"{person.owner} has seen ids of {other.owner}"


async def check_rows(people: list[Person], house: House) -> None:
    """Check that rows and files with a marker belong to its user."""
    async with house.services.engine.connect() as connection:
        await see_all(connection)
        for query in TEXTS:
            for row in await connection.execute(text(query)):
                check_words(str(row.words), Owner(row.tenant, row.user_id), people)
        files = {row.id: Owner(row.tenant, row.user_id) for row in await connection.execute(text(FILES))}
    for file in (Path(house.services.settings.data_dir) / "files").iterdir():
        if file.name in files:  # the others were deleted, or belonged to a deleted thread
            check_words(file.read_text(encoding="utf-8"), files[file.name], people)


def check_words(words: str, owner: Owner, people: list[Person]) -> None:
    """Check that a text with markers has only the owner's."""
    assert {person.owner for person in people if person.marker in words} <= {owner}
