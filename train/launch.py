"""Starts several workers on this machine that train one model together: see ``--help``."""

from tfnca.jobs.launch import main

if __name__ == "__main__":
    main()
