# The daemon in a small image: `docker build -t flockd .`
#
#   docker run -p 8344:8344 -v flockd:/data flockd                                      the demo flock
#   docker run -p 8344:8344 -v flockd:/data -v "$PWD":/flock flockd serve agents:flock  your own, with its config.toml

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY flockd flockd
COPY static static
# What the agents need beside Python: `--build-arg EXTRAS=` leaves it out where none thinks with a language model.
ARG EXTRAS=llm,mcp
# No pip in the environment that is copied: the image's own installs into it.
RUN python -m venv --without-pip /opt/flockd \
 && pip --python /opt/flockd/bin/python install --no-cache-dir --disable-pip-version-check ".${EXTRAS:+[$EXTRAS]}"

FROM python:3.13-slim
COPY --from=build /opt/flockd /opt/flockd
RUN useradd --uid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin flockd \
 && install --directory --owner=flockd --group=flockd --mode=0750 /data /flock

# In a container, loopback would be reachable by nobody. `open` lets in whoever reaches the port, and the daemon says so
# at each start: until it has API keys, publish the port only where every caller is trusted.
ENV PATH=/opt/flockd/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    FLOCKD_SERVER__HOST=0.0.0.0 \
    FLOCKD_SERVER__PORT=8344 \
    FLOCKD_STORE__DATA_DIR=/data \
    FLOCKD_AUTH__MODE=open

# By number, so that an orchestrator that refuses root can tell.
USER 10001:10001
VOLUME ["/data"]
# Modules are imported from here, and `config.toml` is read from here.
WORKDIR /flock
EXPOSE 8344
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['FLOCKD_SERVER__PORT']}/ready\", timeout=2)"]
ENTRYPOINT ["flockd"]
CMD ["serve"]
