# PostgreSQL with taskapi, as the official image and nothing else: docker build --build-arg PG=17 -t taskapi .
# The demo on Debian's PostgreSQL: docker build --target demo -t taskapi-demo . && docker run --rm taskapi-demo
ARG PG=17
FROM postgres:${PG}-bookworm AS build
ARG PG
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends build-essential "postgresql-server-dev-${PG}" && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN make with_llvm=no && make with_llvm=no install DESTDIR=/out

FROM debian:bookworm AS demo
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
CMD ["make", "-s", "demo"]

FROM postgres:${PG}-bookworm
COPY --from=build /out/ /
# in every database that is made from now on; roles and create_task_api() are yours to run
RUN printf 'CREATE EXTENSION IF NOT EXISTS pgcrypto;\nCREATE EXTENSION IF NOT EXISTS taskapi;\n' > /docker-entrypoint-initdb.d/10-taskapi.sql
HEALTHCHECK --interval=10s --timeout=3s CMD pg_isready -U "${POSTGRES_USER:-postgres}" || exit 1
