"""The version of the distribution, kept equal to pyproject.toml's by a test.

Reading it from the installed metadata would cost every cold start 7 ms.
"""

VERSION = "0.1.0"
