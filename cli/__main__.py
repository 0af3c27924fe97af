"""`python -m cli` is `reelstream`."""

from cli import main

main()
