# Two images of the same packages: `serve` (the API, the stream worker, the Feast server; without torch) and `train`
# (the whole command, with torch). compose.yaml names the target.
FROM python:3.12.12-slim-trixie AS python
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

FROM python AS serve-packages
COPY requirements/serve.txt /requirements/
RUN python -m venv /opt/venv \
    && pip install --no-cache-dir --require-hashes --only-binary=:all: -r /requirements/serve.txt

FROM python AS train-packages
COPY requirements/dev.txt /requirements/
RUN python -m venv /opt/venv \
    && pip install --no-cache-dir --require-hashes --only-binary=:all: -r /requirements/dev.txt

FROM python AS reelstream
# Volumes mounted on these folders get their owner.
RUN groupadd --gid 10001 reelstream \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /state --shell /usr/sbin/nologin reelstream \
    && install -d -o reelstream -g reelstream /state /state/feast /state/models /state/runs \
        /state/snapshots /state/log-heads /state/archive /state/evicted
WORKDIR /app
COPY reelstream.toml ./
COPY compat ./compat
COPY settings ./settings
COPY features ./features
COPY datasets ./datasets
COPY scoring ./scoring
COPY stores ./stores
COPY drift ./drift
COPY stream ./stream
COPY api ./api
USER 10001:10001

FROM reelstream AS train
COPY --from=train-packages /opt/venv /opt/venv
COPY producers ./producers
COPY offline ./offline
COPY verify ./verify
COPY lifecycle ./lifecycle
COPY servers ./servers
COPY bench ./bench
COPY dashboards ./dashboards
COPY cli ./cli
COPY requirements/triton.txt ./requirements/
CMD ["python", "-m", "cli"]

FROM reelstream AS serve
COPY --from=serve-packages /opt/venv /opt/venv
CMD ["python", "-m", "api"]
