"""The command as a user runs it, for every fault that befalls it."""

from command import here, shell, workplace  # noqa: F401 - fixtures
