"""`python -m ruvtab`."""

from ruvtab.cli import main

main()
