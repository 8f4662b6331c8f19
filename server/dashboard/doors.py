"""Coming in and going out: password, one-time links, logout."""

import hashlib
from urllib.parse import urlsplit

from flask import Blueprint, Response, redirect, render_template, request, session, url_for
from flask_limiter import Limiter
from flask_login import current_user, login_user, logout_user
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired

from dockercomp.protocol.errors import BadRequest
from server.api.services import Services
from server.audit import Actor
from server.people import Person

_WRONG = "Wrong name or password."
_USED_UP = "This link has been used, or is older than 15 minutes."
_NO_PASSWORD_LINK = "This link has been used, or is older than a week. Ask an admin for another one."  # noqa: S105
_BY_NAME, _BY_ADDRESS = "10/minute;100/day", "30/minute"


class LoginForm(FlaskForm):  # type: ignore[misc]
    name = StringField("Name", [InputRequired("Enter your name.")])
    password = PasswordField("Password", [InputRequired("Enter your password.")])


class NewPasswordForm(FlaskForm):  # type: ignore[misc]
    password = PasswordField("New password", [InputRequired("Choose a password.")])
    again = PasswordField("The same again", [InputRequired("Enter it once more.")])

    def chosen(self) -> str:
        """The password, if it was sent and entered twice alike; else empty, and the fields say why."""
        if not self.validate_on_submit():
            return ""
        if self.password.data != self.again.data:
            self.again.errors = ["These are not the same."]
            return ""
        return str(self.password.data)


def make(services: Services, limiter: Limiter) -> Blueprint:
    doors = Blueprint("doors", __name__)
    people = services.people

    @doors.get("/login")
    def login() -> AnyResponse | str:
        return _login_page(LoginForm())

    @doors.post("/login")
    @limiter.limit(_BY_ADDRESS, deduct_when=_failed)
    @limiter.limit(_BY_NAME, key_func=_name_asked_for, deduct_when=_failed)
    def login_by_password() -> AnyResponse | str:
        form = LoginForm()
        if not form.validate_on_submit():
            return _login_page(form, status=422)
        person = people.log_in(form.name.data, form.password.data)
        if person is None:
            _record_failure(services, form.name.data)
            return _login_page(form, _WRONG, 401)
        return _enter(services, person, "password")

    @doors.get("/login/<secret>")
    def link(secret: str) -> AnyResponse | str:
        """Looking at a link does not use it up: mail and chat programs fetch links to preview them."""
        user = people.of_login_link(secret)
        return render_template("dashboard/link.html", user=user) if user else _login_page(LoginForm(), _USED_UP, 410)

    @doors.post("/login/<secret>")
    @limiter.limit("60/minute")
    def login_by_link(secret: str) -> AnyResponse | str:
        person = people.log_in_by_link(secret)
        return _enter(services, person, "link") if person else _login_page(LoginForm(), _USED_UP, 410)

    @doors.get("/password/<secret>")
    def password(secret: str) -> AnyResponse | str:
        return _password_page(people.of_password_link(secret), NewPasswordForm())

    @doors.post("/password/<secret>")
    @limiter.limit("60/minute")
    def choose_password(secret: str) -> AnyResponse | str:
        name, form = people.of_password_link(secret), NewPasswordForm()
        chosen = form.chosen() if name else ""
        if not chosen:
            return _password_page(name, form, 422)
        try:
            person = people.set_password_by_link(secret, chosen)
        except BadRequest as error:
            form.password.errors = [str(error)]
            return _password_page(name, form, 422)
        return _enter(services, person, "password_link") if person else _password_page(None, form)

    @doors.get("/favicon.ico")
    def favicon() -> AnyResponse:
        """What browsers ask for beside answers that are not our pages."""
        return redirect(url_for("static", filename="favicon.svg"))

    @doors.post("/logout")
    def logout() -> AnyResponse:
        if current_user.is_authenticated:
            services.audit.record(Actor(current_user.id, "session", request.remote_addr or ""), "logout")
        logout_user()
        session.clear()
        return redirect(url_for("doors.login"), 303)

    return doors


def to_login() -> AnyResponse:
    """The way to the login, also for a part of a page that htmx asks for."""
    here = request.full_path.rstrip("?") if request.method == "GET" and "part" not in request.args else None
    login = url_for("doors.login", next=here if here != "/" else None)
    return (
        Response(status=401, headers={"HX-Redirect": login})
        if "HX-Request" in request.headers
        else redirect(login, 303)
    )


def safe_target(wanted: str) -> str:
    """`wanted` if it is a path of this site, else the overview: nobody is sent to other sites from here."""
    parts = urlsplit(wanted.replace("\\", "/"))
    clean = wanted.isprintable() and not parts.scheme and not parts.netloc and wanted.startswith("/")
    return wanted if clean and not wanted.startswith(("//", "/\\")) else url_for("overview.overview")


def enter(person: Person) -> None:
    """Begin a session of this browser."""
    session.clear()
    session.permanent = True
    login_user(person)


def _enter(services: Services, person: Person, by: str) -> AnyResponse:
    services.audit.record(Actor(person.id, by, request.remote_addr or ""), "login", person.id)
    enter(person)
    return redirect(safe_target(request.args.get("next", "")), 303)


def _record_failure(services: Services, name: str) -> None:
    """The name only where it is somebody's: what else stands in that field may be a password."""
    known = name if services.store.users.by_name(name) else "(nobody's name)"
    services.audit.record(Actor("nobody", "password", request.remote_addr or ""), "login", known, "unauthorized")


def _name_asked_for() -> str:
    """What guesses are counted by, whether there is such a name or not."""
    name = request.form.get("name", "").strip().casefold()
    return f"name {hashlib.sha256(name.encode(errors='replace')).hexdigest()[:24]}"


def _failed(response: AnyResponse) -> bool:
    return response.status_code == 401


def _login_page(form: LoginForm, wrong: str = "", status: int = 200) -> AnyResponse:
    return Response(render_template("dashboard/login.html", form=form, wrong=wrong), status)


def _password_page(name: str | None, form: NewPasswordForm, status: int = 200) -> AnyResponse:
    if name is None:
        return _login_page(LoginForm(), _NO_PASSWORD_LINK, 410)
    return Response(render_template("dashboard/password.html", name=name, form=form), status)
