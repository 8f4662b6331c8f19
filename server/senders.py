"""How a notice reaches an address: posted as JSON, or as a mail. Each try takes at most some seconds."""

import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

import msgspec
import requests

from dockercomp.protocol import outbound
from dockercomp.protocol.errors import Forbidden
from server.notices import Notice
from server.settings import Settings

_TIMEOUT_S = 15.0


class NotReached(Exception):
    """The address did not take the notice; the message says why."""


class Senders:
    def __init__(self, settings: Settings) -> None:
        self._private_urls = settings.private_urls
        self._smtp = settings.smtp
        self._from = settings.mail_from

    def send(self, address: str, notice: Notice) -> None:
        """Raises NotReached."""
        if address.startswith("mailto:"):
            self._mail(unquote(address.removeprefix("mailto:")), notice)
        else:
            self._post(address, notice)

    def _post(self, url: str, notice: Notice) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": "dockercomp", "Idempotency-Key": notice.id}
        try:
            outbound.check_url(url, allow_private=self._private_urls)
            with outbound.session(allow_private=self._private_urls) as session:
                answer = session.post(
                    url,
                    data=msgspec.json.encode(notice),
                    headers=headers,
                    timeout=_TIMEOUT_S,
                    allow_redirects=False,
                    stream=True,  # what it answers is not read
                )
                answer.close()
        except (Forbidden, requests.RequestException) as error:
            raise NotReached(f"{url}: {error}") from error
        if not 200 <= answer.status_code < 300:
            raise NotReached(f"{url} answered with status {answer.status_code}")

    def _mail(self, to: str, notice: Notice) -> None:
        if not self._smtp:
            raise NotReached(f"no mail can be sent to {to}: the master has no DC_SMTP")
        try:
            with self._connected() as server:
                server.send_message(self._message(to, notice))
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise NotReached(f"the mail to {to} was not sent: {error}") from error

    def _connected(self) -> smtplib.SMTP:
        """A mail server that takes mails from us."""
        parts, context = urlsplit(self._smtp), ssl.create_default_context()
        host = parts.hostname or "localhost"
        if parts.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, parts.port or 465, timeout=_TIMEOUT_S, context=context)
        else:
            server = smtplib.SMTP(host, parts.port or 25, timeout=_TIMEOUT_S)
            if parts.username:
                server.starttls(context=context)  # a password never goes in the clear
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        return server

    def _message(self, to: str, notice: Notice) -> EmailMessage:
        message = EmailMessage()
        message["From"], message["To"] = self._from, to
        message["Subject"] = f"dockerComp: job {notice.job.name} {notice.event}"
        message["Message-ID"] = f"<{notice.id.replace('/', '.')}@dockercomp>"
        message.set_content(f"{notice.sentence}\n\n{notice.link}\n")
        return message
