"""`python -m lorabert.cli`: what `python -m lorabert` was called first, for scripts that name it so."""

import sys

from lorabert.cli import main

sys.exit(main())
