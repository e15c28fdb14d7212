"""`python -m lorabert.cli`, for when the command is not on the path."""

import sys

from lorabert.cli import main

sys.exit(main())
