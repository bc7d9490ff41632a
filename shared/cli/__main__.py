"""`python -m shared.cli`: the same as `hourbook`."""

from shared.cli.main import main

if __name__ == "__main__":
    main()
