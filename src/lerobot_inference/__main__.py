"""`python -m lerobot_inference` is `lerobot-inference`."""

from lerobot_inference.cli import main

if __name__ == "__main__":
    main()
