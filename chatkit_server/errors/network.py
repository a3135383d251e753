"""Why a connection failed, in a few words of the system's; without addresses, which an administrator is told apart."""

import errno
import os
import ssl


def network_reason(error: OSError) -> str:
    """asyncio and aiohttp put the address into the system's words, and several errors into one without a number."""
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
    """What the system said, under all that libraries have wrapped around it."""
    found, seen = None, set[int]()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        found = one if isinstance(one, OSError) else found
        one = one.__cause__ or one.__context__
    return found
