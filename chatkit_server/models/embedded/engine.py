"""Run the model's engine. This is the child process; `process.py` starts this file as a plain script.

It reads its options from stdin, writes one line `{"url": ...}` to stdout once the model is loaded, and exits when its
stdin closes, at the latest when its parent is gone. Logs go to stderr. It imports nothing from this package, which
would cost two seconds and 150 MB.
"""

import json
import os
import signal
import sys
import threading
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any, Self

BATCH = 128
"""Tokens of a prompt that are processed at once; a cancel takes effect after a batch."""
SLOTS = 2
"""Answers at the same time; more are queued."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """The options, sent over stdin: a command line argument would show the key to every user of the machine."""

    path: str
    name: str
    context: int
    """Tokens of one conversation including the answer."""
    key: str
    threads: int

    def to_line(self) -> str:
        """Return the options as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Parse the result of `to_line`."""
        return cls(**json.loads(line))


def main() -> None:
    """Serve until stdin closes."""
    _exit_with_parent()
    options = EngineOptions.from_line(sys.stdin.readline())
    threading.Thread(target=_exit_at_end_of_input, daemon=True).start()
    stdout = os.dup(1)
    os.dup2(2, 1)  # the engine may print; keep that away from our line
    engine: Any = import_module("xllamacpp")  # after the redirect: the engine may print on import
    server = engine.Server(make_params(engine, options))
    os.write(stdout, json.dumps({"url": server.listening_address}).encode() + b"\n")
    threading.Event().wait()


def make_params(engine: Any, options: EngineOptions) -> Any:
    """Return the engine's parameters: loopback, one key, chat and tokenizer only."""
    params = engine.CommonParams()
    params.model.path = options.path
    params.model_alias = {options.name}
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], 0, [options.key]
    params.ui = params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = False
    params.cors_origins = ""
    params.n_parallel, params.n_ctx = SLOTS, options.context * SLOTS
    params.n_batch = params.n_ubatch = BATCH
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.threads
    params.sampling.temp, params.sampling.top_p = 0.2, 0.9
    params.n_gpu_layers = 0
    params.fit_params = False
    params.cache_ram_mib = 0
    params.offline = True
    params.verbosity = 2  # warnings and errors; the next level would log user content
    return params


def _exit_at_end_of_input() -> None:
    while os.read(0, 4096):  # not sys.stdin, whose lock would block the interpreter's shutdown
        pass
    os._exit(0)


def _exit_with_parent() -> None:
    """On Linux, also exit by a signal, because a process forked by the parent may keep our stdin open."""
    if sys.platform == "linux":
        import ctypes

        parent = os.getppid()
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(0)


if __name__ == "__main__":
    main()
