"""The command as a user runs it, for every end-to-end test."""

from command import here, shell, workplace  # noqa: F401 - fixtures
