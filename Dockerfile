# Two stages: the first has the tools that build, the second only what runs, as a user without rights.
FROM python:3.13-slim AS build
WORKDIR /app
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PROJECT_ENVIRONMENT=/opt/newsletter
RUN pip install --no-cache-dir uv
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --frozen --no-dev --no-install-project
COPY newsletter newsletter
COPY subscribers subscribers
COPY templates templates
COPY examples examples
COPY worker.py ./
RUN uv sync --frozen --no-dev --no-editable

FROM python:3.13-slim
RUN useradd --create-home --uid 10001 newsletter \
    && install -d -o newsletter -g newsletter /var/lib/newsletter
COPY --from=build /opt/newsletter /opt/newsletter
COPY worker.py /app/worker.py
ENV PATH=/opt/newsletter/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /app
USER newsletter
VOLUME /var/lib/newsletter
EXPOSE 8000
CMD ["newsletter", "serve", "--host", "0.0.0.0"]
