"""The agent through the server, with a model that plays a script: it needs no key and no network."""

from pathlib import Path

import my_agent
from agents.testing import ScriptedModel, assistant_message, function_call
from starlette.testclient import TestClient

from chatkit_server import Settings, create_app


def test_the_agent_looks_up_an_order(tmp_path: Path) -> None:
    model = ScriptedModel(
        [
            [function_call("order_status", {"number": "17"}, call_id="call_1")],
            [assistant_message("Order 17 was shipped yesterday.")],
        ]
    )
    settings = Settings(_env_file=None, database_url=f"sqlite:///{tmp_path / 'test.db'}", data_dir=tmp_path)
    app = create_app(settings, my_agent.agent.clone(model=model))
    with TestClient(app, base_url="http://localhost") as client:
        response = client.post("/api/message", json={"message": "Where is order 17?"})
    assert response.json()["text"] == "Order 17 was shipped yesterday."
    assert "shipped yesterday" in str(model.calls[-1].input)
