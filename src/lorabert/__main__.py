"""`python -m lorabert`, for when the command is not on the path."""

import sys

from lorabert.cli import main

sys.exit(main())
