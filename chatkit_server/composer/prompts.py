"""The starter prompts: only things that the configured model can do."""

from collections.abc import Sequence

from .choices import Prompt

_TOOLS = (
    Prompt(label="What time is it?", prompt="What time is it in Europe/Paris?", icon="clock"),
    Prompt(label="Set my preferences", prompt="I want to set my preferences.", icon="settings-slider"),
)
_DEMO = (
    Prompt(label="Show me markdown", prompt="Show me markdown", icon="notebook"),
    Prompt(label="Think before you answer", prompt="Show me a reasoning block", icon="lightbulb"),
)
_CAPABLE = (
    Prompt(label="Compare two things", prompt="Compare SQLite and PostgreSQL in a short table.", icon="notebook"),
    Prompt(
        label="Explain something",
        prompt="Explain in three sentences how a web page gets to my screen.",
        icon="lightbulb",
    ),
)
_SMALL = (
    Prompt(label="Say hello", prompt="Hello! Who are you?", icon="sparkle"),
    Prompt(label="Write a poem", prompt="Write a short poem about the sea.", icon="write"),
    Prompt(label="Explain rain", prompt="Explain in simple words why it rains.", icon="lightbulb"),
    Prompt(label="Find ideas", prompt="Give me three ideas for a rainy Sunday.", icon="compass"),
)


def prompts_for(provider: str, *, is_default_agent: bool) -> Sequence[Prompt]:
    """Return the prompts that suit a model provider, with those for the default agent's tools if that agent answers."""
    if provider == "embedded":
        return _SMALL
    prompts = _DEMO if provider == "demo" else _CAPABLE
    return (*_TOOLS, *prompts) if is_default_agent else prompts
