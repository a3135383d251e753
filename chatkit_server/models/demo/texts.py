"""The demo model's texts. Each says that no model is behind it, and how to get one."""

PLUG_IN = """To get a real model, stop the server and set one of these, then start it again:

- `OPENAI_API_KEY` for OpenAI's models (and `CHATKIT_MODEL` to choose one)
- `CHATKIT_BASE_URL` and `CHATKIT_MODEL` for any OpenAI-compatible endpoint: vLLM, Ollama, llama.cpp, a gateway
- `CHATKIT_MODEL=embedded` for a small model that runs on this machine"""

ECHO = (
    """I am the **demo model**: a script, not a language model. You wrote:

> {text}
{attached}
Try one of these words and see what the chat shows:

- **calculate** 2*(3+4), **convert** 5 km to miles, or what **time** it is in Europe/Paris: I call a tool
- **call** `name` {{"json": "arguments"}}: I call that tool of your agent (it has: {tools})
- **markdown**: headings, a table, a list and code
- **reason**: a block of thoughts before the answer
- **long**: a long answer, to try Stop
- **error**: a failure in the middle of an answer; **error 429** and other codes: one before it

"""
    + PLUG_IN
)

NO_TOOL = (
    """I am the demo model. You asked me to call `{name}`, but the agent has no such tool (it has: {names}).

"""
    + PLUG_IN
)

MARKDOWN = (
    """# Markdown

I am the demo model, and this is what the chat can render.

## A list

1. first, with **bold** and *italic* words
2. second, with `code` and a [link](https://example.com)
   - and one inside

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

> A quotation, to end with.

"""
    + PLUG_IN
)

REASONING = """**Reading the message**

The user wants to see how I reason. I am a script, so I follow the lines that were written for me.

**Choosing an answer**

A short one will do: it should say that this was a demonstration."""

THOUGHT = (
    """What you saw above was a *reasoning summary*: a model that reasons sends it before its answer. I am the demo
model and only play one.

"""
    + PLUG_IN
)

ERROR_START = "I am the demo model. As you asked, this answer breaks off with an error in the middle of a"

ERROR_MESSAGE = "The demo model failed, because the message asked for an error."


def _paragraph(number: int) -> str:
    return (
        f"{number}. This is paragraph {number} of a long answer by the demo model. It has nothing to say and takes its "
        "time to say it, so that there is something to look at while it streams: scroll up and see whether the page "
        "follows, press Stop and see what is kept, reload the page in the middle of it and see whether the answer is "
        "still there afterwards."
    )


LONG = "\n\n".join(["# A long answer", *(_paragraph(number) for number in range(1, 11)), PLUG_IN])
