"""`python -m uploader` is the command `figup`."""

from uploader.cli.main import main

if __name__ == "__main__":
    main()
