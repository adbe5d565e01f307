"""Models, capture, sampling and decoding: the part of Glassformer that people import in notebooks.

    from model_runtime import load_model
    model = load_model("smollm2-135m-instruct")
    trace = model.trace("The quick brown fox")
    trace.get("pattern", layer=3, head=5)  # numpy float32 [query_pos, key_pos]

Nothing here knows of plotly or streamlit. The names are listed in `__init__.pyi`; each is imported when it is
first asked for, so that importing this package imports neither torch nor transformers.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
