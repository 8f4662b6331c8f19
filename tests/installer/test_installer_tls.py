"""The one command of an admin's link, from a master with a certificate of its own: pinned from the first byte on."""

import json
import subprocess
from pathlib import Path

from dockercomp.protocol.signing import fingerprint, public_key
from dockercomp.protocol.views import ClientPage, TokenAnswer, TokenRequest
from server import packages
from server.settings import read_secrets
from tests.installer.conftest import Volunteer
from tests.integration.masters import running_master


def test_the_command_of_the_link_installs_a_worker_that_pins_its_master(volunteer: Volunteer, tmp_path: Path) -> None:
    home = tmp_path / "master"
    packages.build(home)
    with running_master(home, DC_TLS_SELF_SIGNED="yes", DC_WORKERS="1") as master:
        made = master.admin().call("enrolment_token", TokenAnswer, TokenRequest(owner="lab", uses=1))
        done = subprocess.run(
            ["sh", "-c", f"{made.command} -s -- --yes --prefix {volunteer.home}"],
            env=volunteer.environ(DC_CONTAINERS="1"),
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        written = (volunteer.home / "configuration").read_text()
        assert f"DC_TLS_PIN={master.pin}\n" in written and "DC_SCHEME=https\n" in written
        assert f"DC_MASTER_KEY={fingerprint(public_key(read_secrets(home).signing_seed))}\n" in written
        command = [volunteer.home / "bin" / "dockercomp-worker", "status", "--json"]
        status = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        known = master.admin().call("clients", ClientPage).clients
        assert [client.id for client in known] == [status["client"]]
