"""What travels into containers to call a scientist's functions there. Standard library only, Python 3.6 or newer."""
