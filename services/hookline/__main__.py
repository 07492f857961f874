"""The `hookline` command; see `hookline --help`."""

from hookline.cli import main

if __name__ == "__main__":
    main()
