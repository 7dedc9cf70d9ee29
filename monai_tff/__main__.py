"""`python -m monai_tff <command>`."""

from monai_tff.cli.app import main

if __name__ == "__main__":
    main()
