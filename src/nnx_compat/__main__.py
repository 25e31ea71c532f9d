"""``python -m nnx_compat`` is ``nnx-compat``."""

import sys

from .cli import main

sys.exit(main())
