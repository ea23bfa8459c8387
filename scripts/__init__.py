"""What makes parts of the documentation: run one with ``python -m scripts.<name>`` from the root of the repository."""
