# syntax=docker/dockerfile:1
# The server with its page, for any agent: docs/deploy.md shows how to add yours.
ARG PYTHON=3.13
ARG NODE=22

FROM node:${NODE}-slim AS page
WORKDIR /build/web
COPY web/package.json web/package-lock.json ./
COPY web/element/package.json element/
RUN npm ci --no-audit --no-fund
COPY web ./
ARG VITE_CHATKIT_DOMAIN_KEY
RUN npm run build

FROM python:${PYTHON}-slim AS build
# Compiled modules: the user of the image may not write them, and compiling them at each start takes seconds.
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
RUN pip install --no-cache-dir --root-user-action=ignore uv
WORKDIR /build
COPY pyproject.toml hatch_build.py requirements.lock README.md CHANGELOG.md SECURITY.md LICENSE .env.example ./
COPY store store
COPY alembic alembic
COPY chatkit_server chatkit_server
COPY --from=page /build/web/dist web/dist
ARG EXTRAS=postgres,s3,fast
RUN uv venv /app/.venv
RUN uv build --quiet --wheel --out-dir dist store && uv build --quiet --wheel --out-dir dist .
RUN uv pip install --python /app/.venv/bin/python --constraint requirements.lock --find-links dist "chatkit-server[${EXTRAS}]"

FROM python:${PYTHON}-slim
RUN useradd --uid 10001 --home-dir /app --no-create-home --shell /usr/sbin/nologin chatkit
RUN install -d -o 10001 -g 10001 /data
COPY --from=build /app/.venv /app/.venv
WORKDIR /app
ENV PATH=/app/.venv/bin:$PATH
# Only /data is written to. A container must listen on more than loopback, which the server does with a login only.
ENV CHATKIT_ENVIRONMENT=production CHATKIT_HOST=0.0.0.0 CHATKIT_DATA_DIR=/data CHATKIT_DATABASE_URL=sqlite:////data/chatkit.db
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('CHATKIT_PORT', '8000') + '/healthz', timeout=4)"]
CMD ["chatkit-server", "serve"]
