"""The server: `streamlit run app.py`. Warms the default model; serves and compresses scripts and exports."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# Before numpy is loaded: after a matrix product its own threads keep spinning and take the cores from torch,
# which made the next forward 2 to 4 times slower on two cores. Nothing here needs them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import streamlit as st

from pages.shared.figure import renderer
from pages.shared.frame.errors import on_script_error
from pages.shared.run import heavy
from pages.shared.server import collector, server

_LOG = logging.getLogger("glassformer")
# The warm-up calls a cached function outside of any visit, on purpose; Streamlit would warn of each call.
logging.getLogger("streamlit.runtime.scriptrunner_utils.script_run_context").setLevel(logging.ERROR)


def spare_the_collector() -> None:
    """Import the heavy libraries and keep their objects, which stay for good, out of each garbage collection.

    Streamlit collects all of it after every script run: their 430,000 objects took 240 ms each time, in which
    no message left the server. What comes later, `collector` sets apart in its turn.
    """
    heavy.load()
    collector.install()


def warm_up() -> None:
    """Load the default model and what else first pages need, while the first visitor's browser still loads.

    The same cached function as the pages': who comes early waits for this load instead of starting one.
    """
    try:
        spare_the_collector()

        from model_runtime.tokens import encodings
        from pages.shared.run import runs, runtime
        from pages.shared.settings import table as settings

        server.warm()
        runtime.warm_up(runs.run_of(settings.defaults()))
        renderer.warm()
        encodings.warm()
    except Exception:
        # The pages meet the same error and explain it to the visitor; the server must come up either way.
        _LOG.exception("The default model could not be warmed up")


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    """Start the warm-up beside the server, which answers meanwhile."""
    threading.Thread(target=warm_up, name="warm-up", daemon=True).start()
    yield
    renderer.close()


app = st.App(
    "pages/main.py",
    lifespan=lifespan,
    routes=server.routes(),
    middleware=server.middleware(),
    on_script_error=on_script_error,
)
