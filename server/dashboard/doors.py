"""Coming in and going out: password, one-time link, logout."""

from urllib.parse import urlsplit

from flask import Blueprint, Response, redirect, render_template, request, session, url_for
from flask_limiter import Limiter
from flask_login import current_user, login_user, logout_user
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired

from server.people import People, Person

_WRONG = "Wrong name or password."
_USED_UP = "This link has been used, or is older than 15 minutes."


class LoginForm(FlaskForm):  # type: ignore[misc]
    name = StringField("Name", [InputRequired("Enter your name.")])
    password = PasswordField("Password", [InputRequired("Enter your password.")])


def make(people: People, limiter: Limiter) -> Blueprint:
    doors = Blueprint("doors", __name__)

    @doors.get("/login")
    def login() -> AnyResponse | str:
        return _login_page(LoginForm())

    @doors.post("/login")
    @limiter.limit("10/minute")
    def login_by_password() -> AnyResponse | str:
        form = LoginForm()
        if not form.validate_on_submit():
            return _login_page(form, status=422)
        person = people.log_in(form.name.data, form.password.data)
        return _enter(person) if person else _login_page(form, _WRONG, 401)

    @doors.get("/login/<secret>")
    def link(secret: str) -> AnyResponse | str:
        """Looking at a link does not use it up: mail and chat programs fetch links to preview them."""
        user = people.of_login_link(secret)
        return render_template("dashboard/link.html", user=user) if user else _login_page(LoginForm(), _USED_UP, 410)

    @doors.post("/login/<secret>")
    @limiter.limit("60/minute")
    def login_by_link(secret: str) -> AnyResponse | str:
        person = people.log_in_by_link(secret)
        return _enter(person) if person else _login_page(LoginForm(), _USED_UP, 410)

    @doors.get("/favicon.ico")
    def favicon() -> AnyResponse:
        """What browsers ask for beside answers that are not our pages."""
        return redirect(url_for("static", filename="favicon.svg"))

    @doors.post("/logout")
    def logout() -> AnyResponse:
        logout_user()
        session.clear()
        return redirect(url_for("doors.login"), 303)

    return doors


def only_people() -> AnyResponse | None:
    """Before every page behind the doors."""
    return None if current_user.is_authenticated else to_login()


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


def _enter(person: Person) -> AnyResponse:
    session.clear()
    session.permanent = True
    login_user(person)
    return redirect(safe_target(request.args.get("next", "")), 303)


def _login_page(form: LoginForm, wrong: str = "", status: int = 200) -> AnyResponse:
    return Response(render_template("dashboard/login.html", form=form, wrong=wrong), status)
