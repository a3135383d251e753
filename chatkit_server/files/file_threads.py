"""The OS threads for files, so that files wait neither for tools nor for each other's previews."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_FILES = ThreadPoolExecutor(4, "file")
_PREVIEWS = ThreadPoolExecutor(1, "preview")
"""Only one: decoding a picture may need 200 MB."""


async def in_file_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that reads, writes or encodes a file."""
    return await asyncio.get_running_loop().run_in_executor(_FILES, lambda: function(*args, **kwargs))


async def in_preview_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that decodes a picture."""
    return await asyncio.get_running_loop().run_in_executor(_PREVIEWS, lambda: function(*args, **kwargs))
