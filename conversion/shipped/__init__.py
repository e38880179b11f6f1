"""Modules that go into every model folder, to be used there without this project."""
