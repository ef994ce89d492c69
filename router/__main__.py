"""`python -m router` is `setpoint`."""

from router.cli import main

if __name__ == "__main__":
    main()
