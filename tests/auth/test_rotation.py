"""Each step of docs/security.md that rotates a key: nothing that was valid before it is refused after it."""

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from chatkit_server.auth.signing_keys import load_signing_keys
from chatkit_store import Owner, create_schema, new_id, open_engine
from tests.databases import Postgres
from tests.serving import Served, make_settings, serve

OLD, NEW = "8f4e1b0a97c35d62e8f0b1a4c7d9e6f2835a0b4c", "31d7c5e9f0a2b4867d1c3e5f7a9b8c6d4e2f0a1b"
STEPS = [OLD, f"{OLD},{NEW}", f"{NEW},{OLD}", NEW]
SECURITY = Path(__file__).parents[2] / "docs" / "security.md"
ALICE = Owner("", "alice")


def token_of(served: Served, attachment_id: str) -> str:
    url = served.services.links.make("download", attachment_id, ALICE, served.url)
    return parse_qs(urlsplit(url).query)["token"][0]


def keys(folder: Path, step: str) -> Sequence[str]:
    return load_signing_keys(make_settings(folder, secrets=step))


def test_the_first_secret_signs(tmp_path: Path) -> None:
    assert [keys(tmp_path, step)[-1] for step in STEPS] == [OLD, OLD, NEW, NEW]
    assert all(step in SECURITY.read_text(encoding="utf-8") for step in ("=OLD,NEW`", "=NEW,OLD`", "=NEW`"))


async def test_users_and_files_outlast_each_step_while_both_kinds_of_worker_run(tmp_path: Path) -> None:
    attachment_id = new_id("atc")
    for before, after in zip(STEPS, STEPS[1:], strict=False):
        async with serve(tmp_path, secrets=before) as old, serve(tmp_path, secrets=after) as new:
            for one, other in ((old, new), (new, old)):
                async with one.tab() as tab:
                    thread_id = (await tab.create("Hello")).thread_id
                    async with other.tab(cookies=tab.cookies) as elsewhere:
                        assert [thread["id"] for thread in await elsewhere.history()] == [thread_id]
                links = other.services.links
                assert links.verify("download", attachment_id, token_of(one, attachment_id)) == ALICE


async def test_a_load_of_the_page_moves_a_visitor_to_the_new_secret(tmp_path: Path) -> None:
    async with serve(tmp_path, secrets=OLD) as served, served.tab() as tab:
        thread_id = (await tab.create("Hello")).thread_id
        cookies = tab.cookies
    async with serve(tmp_path, secrets=f"{NEW},{OLD}") as served, served.tab(cookies=cookies) as tab:
        async with tab.session.get(served.url) as page:
            assert page.status == 200
        cookies = tab.cookies
    async with serve(tmp_path, secrets=NEW) as served, served.tab(cookies=cookies) as tab:
        assert [thread["id"] for thread in await tab.history()] == [thread_id]


async def test_a_second_database_role_acts_as_the_first(postgres: Postgres, tmp_path: Path) -> None:
    (statements,) = re.findall(r"`(CREATE ROLE chat2 .*?)`", SECURITY.read_text(encoding="utf-8"))
    for statement in ("CREATE ROLE chat LOGIN", *statements.replace("…", "x").split("; ")):
        postgres.run_sql(statement.rstrip(";"))
    postgres.run_sql("CREATE DATABASE rotated OWNER chat TEMPLATE template0")
    try:
        first = open_engine(postgres.url("rotated", "chat"))
        await create_schema(first)
        await first.dispose()
        async with serve(tmp_path, database_url=postgres.url("rotated", "chat2")) as served, served.tab() as tab:
            assert (await tab.create("Hello")).error is None
            assert await served.rows("SELECT current_user AS name, session_user AS login") == [
                {"name": "chat", "login": "chat2"}
            ]
        postgres.run_sql("ALTER ROLE chat PASSWORD NULL")
    finally:
        for statement in ("DROP DATABASE rotated WITH (FORCE)", "DROP ROLE chat2", "DROP ROLE chat"):
            postgres.run_sql(statement)
