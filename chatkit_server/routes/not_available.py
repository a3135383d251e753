"""Reserved routes that this version does not implement yet: a clear error instead of a 404."""

from fastapi import APIRouter

from ..errors.http import NotAvailable

router = APIRouter(include_in_schema=False)

ROUTES: dict[str, list[str]] = {
    "/metrics": ["GET"],
    "/doctor": ["GET"],
}


async def _not_available() -> None:
    raise NotAvailable("This version of the server does not offer this yet.")


for _path, _methods in ROUTES.items():
    router.add_api_route(_path, _not_available, methods=_methods)
