"""What every reader of a result may raise."""


class Malformed(ValueError):
    """Data that is not what was declared; the message goes on from "one of them"."""


def quoted(value: object) -> str:
    """A value inside a sentence, however long it is."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
