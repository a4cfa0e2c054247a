"""`python -m tools`: the same as `blobstore`, for where the script is not on the path."""

from tools.cli import main

if __name__ == "__main__":
    main(prog_name="blobstore")
