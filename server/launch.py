"""The command behind `server/start`."""

import os
import sys
from pathlib import Path

import click

from dockercomp.machine import supervisor
from dockercomp.machine.configuration import ConfigurationError
from dockercomp.machine.home import HomeInUseError
from dockercomp.machine.supervisor import SupervisorError
from dockercomp.protocol.errors import DockercompError
from server import demo, instance, packages
from server.instance import InstanceError
from server.packages import PackagingError
from server.settings import Settings, read
from server.signing_keys import KeyStays
from server.store.connection import StoreRefused
from server.store.mongod import MongodError
from server.tls import CertificateError

_ROOT = Path(__file__).resolve().parents[1]

FAILURES = (
    ConfigurationError, HomeInUseError, SupervisorError, DockercompError, InstanceError, PackagingError, MongodError,
    StoreRefused, demo.DemoError, CertificateError, KeyStays,
)  # fmt: skip


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--demo", "with_demo", is_flag=True, help="Also start two local workers and run a real sample job.")
@click.option("--once", is_flag=True, help="With --demo: stop and remove everything but the cache when it is done.")
@click.option("--tls-cert", metavar="FILE", help="Speak TLS with this certificate (and its chain), PEM.")
@click.option("--tls-key", metavar="FILE", help="The certificate's private key, PEM.")
@click.option("--tls-self-signed", is_flag=True, help="Speak TLS with a certificate of our own, made at first use.")
@click.option("--stop", "stopping", is_flag=True, help="Stop the master (and the demo's workers) gracefully.")
@click.option("--status", "asking", is_flag=True, help="Say what runs.")
@click.option("--login-link", "linking", is_flag=True, help="Print a one-time login link for the dashboard.")
@click.option("--rotate-key", "new_key", is_flag=True, help="Start (again) with a new signing key, signed by the old.")
@click.option("--reset-password", metavar="USER", help="Print a new random password for USER (admin at first).")
def main(
    with_demo: bool,
    once: bool,
    tls_cert: str | None,
    tls_key: str | None,
    tls_self_signed: bool,
    stopping: bool,
    asking: bool,
    linking: bool,
    new_key: bool,
    reset_password: str | None,
) -> None:
    """Bring up the dockerComp master: MongoDB, first admin, web server and housekeeping.

    Settings come from the file `configuration`; variables of the environment win. Exit codes: 0 done, 1 it failed (the
    reason is printed), 2 wrong usage.
    """
    if once and not with_demo:
        raise click.UsageError("--once goes with --demo")
    try:
        settings = read({**os.environ, **_tls(tls_cert, tls_key, tls_self_signed)}, _ROOT / "configuration")
        _act(settings, with_demo, once, stopping, asking, linking, new_key, reset_password)
    except FAILURES as error:
        click.echo(f"server/start: {error}", err=True)
        sys.exit(1)


def _tls(certificate: str | None, key: str | None, self_signed: bool) -> dict[str, str]:
    """The options of TLS as keys of `configuration`, which they replace. The files are named from where one stands."""
    if not (certificate or key or self_signed):
        return {}
    here = Path(os.environ.get("DC_CALLED_FROM") or Path.cwd())
    files = {"DC_TLS_CERT": certificate, "DC_TLS_KEY": key}
    return {
        "DC_TLS_SELF_SIGNED": "yes" if self_signed else "no",
        **{name: str(here / file) if file else "" for name, file in files.items()},
    }


def _act(
    settings: Settings,
    with_demo: bool,
    once: bool,
    stopping: bool,
    asking: bool,
    linking: bool,
    new_key: bool,
    user: str | None,
) -> None:
    if stopping:
        ran = [demo.stop_workers(settings.home), instance.stop(settings)]
        click.echo("stopped" if any(ran) else f"nothing ran with DC_HOME={settings.home}")
    elif asking:
        _say_status(settings)
    elif linking:
        click.echo(instance.login_link(settings))
    elif user:
        click.echo(instance.reset_password(settings, user))
    elif with_demo:
        demo.run(settings, once=once)
    else:
        if new_key:
            instance.stop(settings)  # no process may go on signing with the old one
        start(settings, new_key=new_key)


def start(settings: Settings, *, new_key: bool = False) -> None:
    """Bring the master up and say what to do next."""
    running = supervisor.status(settings.home, "server")
    if running is not None:
        url = instance.as_started(settings).url
        click.echo(f"the master already runs with DC_HOME={settings.home} (supervisor {running.pid}) at {url}")
        return
    packages.build(settings.home)
    instance.start(settings, click.echo, new_key=new_key)
    command = settings.home / "bin" / "dockercomp"
    click.echo(
        f"dashboard    {instance.login_link(settings)}\n"
        f"             (logs you in once, within 15 minutes; again: server/start --login-link)\n"
        f"volunteers   {command} enrolment create --owner NAME   makes the one command that they run\n"
        f"scientists   {command} submit DIR INPUT… --watch\n"
        f"logs         {settings.home / 'log'}\n"
        f"stop         server/start --stop"
    )


def _say_status(settings: Settings) -> None:
    found = supervisor.status(settings.home, "server")
    if found is None:
        click.echo(f"not running (DC_HOME={settings.home})")
        sys.exit(1)
    click.echo(f"running at {instance.as_started(settings).url} (DC_HOME={settings.home})")
    for name, program in found.programs.items():
        click.echo(f"  {name:<14}{program.state:<9} process {program.pid}, restarted {program.restarts} times")


if __name__ == "__main__":
    main()
