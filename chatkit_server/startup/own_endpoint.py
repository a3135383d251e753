"""Whether the URL of the model's endpoint leads to this server itself, which is a client of the model and has none."""

from urllib.parse import urlsplit

from ..models.endpoint_url import check_url
from ..models.provider_choice import choose_provider
from ..routes.origin import is_loopback_name
from ..settings import Settings, variable_of

PORTS = {"http": 80, "https": 443}


def own_address(settings: Settings) -> str | None:
    """Return a sentence if the endpoint's URL is an address of this server, which says what to change; or None.

    Raises `ModelSetupError` for a URL to which no request can be sent.
    """
    if choose_provider(settings) != "compatible":
        return None
    check_url("base_url", settings.base_url or "")
    endpoint = urlsplit(settings.base_url or "")
    public = urlsplit(settings.public_url or "")
    variable = variable_of("base_url", settings.base_url)
    advice = f"Correct {variable}: it is the URL of the model's endpoint"
    port = endpoint.port or PORTS.get(endpoint.scheme)
    if is_loopback_name(endpoint.hostname or "") and port == settings.port:
        return (
            f"That is the address of this server itself (port {settings.port}). {advice}. Or give this server another "
            "port with CHATKIT_PORT."
        )
    if public.hostname and (endpoint.hostname, port) == (public.hostname, public.port or PORTS.get(public.scheme)):
        prefix = public.path.rstrip("/")
        if not prefix or f"{endpoint.path}/".startswith(f"{prefix}/"):
            return f"That is the address of this server itself (CHATKIT_PUBLIC_URL). {advice}."
    return None
