# syntax=docker/dockerfile:1

FROM python:3.11-slim AS build
WORKDIR /source
RUN python -m venv /opt/pgcrypt-proxy
# Without `pip install --editable`: the image holds no sources, no tests and no compiler.
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
COPY pyproject.toml hatch_build.py requirements.lock LICENSE README.md ./
# Just the files whose hashes the lock has, the build's own included; every provider's packages are among them.
RUN /opt/pgcrypt-proxy/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY pgcrypt_proxy ./pgcrypt_proxy
RUN /opt/pgcrypt-proxy/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .

FROM python:3.11-slim
LABEL org.opencontainers.image.title="pgcrypt-proxy" \
      org.opencontainers.image.description="A transparent encrypting proxy for PostgreSQL" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 pgcrypt \
 && useradd --uid 10001 --gid pgcrypt --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin pgcrypt
COPY --from=build /opt/pgcrypt-proxy /opt/pgcrypt-proxy
ENV PATH=/opt/pgcrypt-proxy/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /etc/pgcrypt-proxy
USER pgcrypt
ENTRYPOINT ["pgcrypt-proxy"]
CMD ["serve"]
