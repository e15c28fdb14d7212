"""`python -m lorabert.cli`: what `python -m lorabert` was called first, for scripts that name it so."""

from lorabert.__main__ import run

run()
