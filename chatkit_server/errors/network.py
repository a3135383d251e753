"""Say why a connection failed, in the operating system's words and without addresses."""

import errno
import os
import ssl


def network_reason(error: OSError) -> str:
    """Return a short reason, such as "Connection refused".

    `str(error)` would not do: asyncio and aiohttp add the address, and merge several errors into one without an errno.
    """
    match error:
        case ssl.SSLCertVerificationError():
            return f"its TLS certificate is not trusted ({error.verify_message})"
        case ssl.SSLError():
            return f"TLS failed ({error.reason})"
        case TimeoutError():
            return "no answer in time"
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or os.strerror(errno.ECONNREFUSED)


def innermost_network_error(error: BaseException) -> OSError | None:
    """Return the last `OSError` in the chain of causes, or None: libraries wrap it several times."""
    innermost, seen = None, set[int]()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        innermost = cause if isinstance(cause, OSError) else innermost
        cause = cause.__cause__ or cause.__context__
    return innermost
