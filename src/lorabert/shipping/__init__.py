"""Adapter folders: saved, loaded, verified."""
