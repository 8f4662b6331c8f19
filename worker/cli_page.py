"""`dockercomp-worker page`: the same as the commands, in a browser, while the command runs."""

import contextlib
import signal
import sys
import threading

import click

from .cli_run import read_settings


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Default: one that is free.")
def page(port: int) -> None:
    """A page for you alone, on 127.0.0.1, while this runs: status, containers, pausing, and your ceiling by sliders.

    Open the link that it prints; it is secret, as whoever has it may change your settings.
    """
    home = read_settings().home
    from .page.owner import Owner  # noqa: PLC0415  (the other commands do without)
    from .page.serving import Server  # noqa: PLC0415

    try:
        server = Server(Owner(home), port)
    except OSError as error:
        click.echo(
            f"dockercomp-worker: port {port} of 127.0.0.1: {error.strerror}; give another with --port.", err=True
        )
        sys.exit(1)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    click.echo(f"{server.link}\n\nOpen this in a browser on this machine; Ctrl-C ends it.")
    with server, contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
