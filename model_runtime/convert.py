"""The command `python -m model_runtime.convert`: converts the default model if needed, and says so."""

import sys

from model_runtime.loading.convert import main

if __name__ == "__main__":
    sys.exit(main())
