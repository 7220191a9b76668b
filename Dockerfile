# The image: the exporter and its locked packages in one virtual environment, nothing else on top of the official Python image.
# The base is named by tag here, and no tool renews that line: Dependabot does not read this file, and a newer Python is a manual change.
# Releases are built on the tag's digest of the day, which their labels name; where you build for production, do the same:
# --build-arg BASE=python:3.13-slim-trixie@sha256:... A digest written down here would keep an old base until a maintainer renews it.

ARG BASE=python:3.13-slim-trixie
FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements.lock requirements-build.lock ./
RUN python3 -m venv /build \
 && /build/bin/pip install --require-hashes --only-binary :all: --requirement requirements-build.lock \
 && python3 -m venv --without-pip /opt/ekm-exporter \
 && /build/bin/pip --python /opt/ekm-exporter/bin/python install --require-hashes --only-binary :all: --requirement requirements.lock
COPY pyproject.toml *.md LICENSE ./
COPY deploy deploy
COPY docs docs
COPY alerts alerts
COPY dashboards dashboards
COPY exporter exporter
RUN /build/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /wheels . \
 && /build/bin/pip --python /opt/ekm-exporter/bin/python install --no-deps --no-index /wheels/*.whl \
 && install -D -m 0644 LICENSE /opt/ekm-exporter/licences/LICENSE \
 && /opt/ekm-exporter/bin/python deploy/licences.py texts >/opt/ekm-exporter/licences/THIRD-PARTY-LICENCES.txt

FROM ${BASE}
LABEL org.opencontainers.image.title="ekm-exporter" \
      org.opencontainers.image.description="Prometheus exporter that makes SQL Server's Azure Key Vault round trip before SQL Server has to" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/ekm-exporter /opt/ekm-exporter
# No installer of Python packages: the official image keeps its own in /usr/local, Debian's Python in /usr. And what a new named volume at
# /state begins as: it copies owner and mode.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/ensurepip /usr/local/lib/python3*/site-packages/pip* \
      /usr/bin/pip* /usr/lib/python3*/ensurepip /usr/lib/python3/dist-packages/pip* /usr/share/python-wheels/pip* \
 && install -d -o 65532 -g 65532 -m 0700 /state
ENV PATH=/opt/ekm-exporter/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# A number, so that Kubernetes can see that it is not root (runAsNonRoot). Nothing in the image belongs to it but /state.
USER 65532:65532
EXPOSE 10377
STOPSIGNAL SIGTERM
# For the default address. With another --web.listen-address, or with TLS, give your own (--health-cmd) or none (--no-healthcheck).
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:10377/-/healthy', timeout=3).close()"]
# The root file system may be read-only; `demo` and `simulate` need a writable /tmp (--tmpfs /tmp).
ENTRYPOINT ["ekm-exporter"]
CMD ["run", "--config.file=/etc/ekm-exporter/ekm.yml"]
