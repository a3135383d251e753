"""The demo model's texts. Each says that a script answers, and how to get a real model."""

PLUG_IN = """To get a real model, set one of these and restart the server:

- `OPENAI_API_KEY` for OpenAI's models (and `CHATKIT_MODEL` to choose one)
- `CHATKIT_BASE_URL` and `CHATKIT_MODEL` for any OpenAI-compatible endpoint: vLLM, Ollama, llama.cpp, a gateway
- `CHATKIT_MODEL=embedded` for a small model that runs on this machine"""

ECHO = (
    """I am the **demo model**: a script, not a language model. You wrote:

> {text}
{attached}
Use one of these words to see what the chat can show:

- **time** (or *what time is it in Europe/Paris?*), **preferences**: I call a tool of the default agent
- **call** `name` {{"json": "arguments"}}: I call that tool of your agent (tools: {tools})
- **markdown**: headings, a table, a list and code
- **reason**: reasoning before the answer
- **long**: a long answer, to try Stop
- **error**: an error in the middle of an answer; **error 429** and other codes: an error before it

"""
    + PLUG_IN
)

NO_TOOL = (
    """I am the demo model. You asked me to call `{name}`, but the agent has no such tool (tools: {names}).

"""
    + PLUG_IN
)

MARKDOWN = (
    """# Markdown

I am the demo model. This is what the chat can render.

## A list

1. first, with **bold** and *italic* words
2. second, with `code` and a [link](https://example.com)
   - nested

## A table

| Fruit  | Colour | Pieces |
|:-------|:------:|-------:|
| Apple  | red    |      3 |
| Pear   | green  |     12 |
| Banana | yellow |      7 |

## Code

```python
def greet(name: str) -> str:
    return f"Hello, {name}!"
```

> A quotation.

"""
    + PLUG_IN
)

REASONING = """**Reading the message**

The user wants to see my reasoning. I am a script, so I follow my lines.

**Choosing an answer**

A short answer is enough. It should say that this was a demonstration."""

THOUGHT = (
    "What you saw above is a *reasoning summary*, which a reasoning model sends before its answer. "
    "I am the demo model and only imitate it.\n\n" + PLUG_IN
)

ERROR_START = "I am the demo model. As requested, this answer breaks off with an error in the middle of a"

ERROR_MESSAGE = "The demo model failed because the message asked for an error."


def _paragraph(number: int) -> str:
    return (
        f"{number}. This is paragraph {number} of a long answer by the demo model. It gives you something to watch "
        "while it streams: scroll up and see whether the page follows, press Stop and see what is kept, or reload "
        "the page in the middle of it and see whether the answer is still there."
    )


LONG = "\n\n".join(["# A long answer", *(_paragraph(number) for number in range(1, 11)), PLUG_IN])
