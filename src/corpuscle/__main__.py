"""`python -m corpuscle`, as torchrun starts it."""

from corpuscle.cli.main import main

main()
