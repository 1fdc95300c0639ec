"""`python -m emtkit`: the command line without its script."""

from emtkit.cli.main import main

if __name__ == "__main__":
    main()
