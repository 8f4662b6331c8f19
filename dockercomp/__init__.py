"""dockerComp: volunteer computing with containers."""

__version__ = "0.1.0"
