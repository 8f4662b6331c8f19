"""One's own account: the password, the sessions, the tokens of one's programs."""

from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask_login import current_user
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import BooleanField, IntegerField, PasswordField, SelectField, StringField
from wtforms.validators import InputRequired, Length, NumberRange

from dockercomp.protocol.errors import BadRequest
from dockercomp.protocol.people import ApiTokenRequest
from server.api.authentication import in_session
from server.api.people import new_token, token_revoke
from server.api.services import Services
from server.dashboard.doors import NewPasswordForm, enter

_SAYS = {
    "read": "look at jobs and results",
    "submit": "also submit, and change my own jobs",
    "admin": "all that I may do",
}


class ChangePasswordForm(NewPasswordForm):
    old = PasswordField("Present password", [InputRequired("Enter your present password.")])


class TokenForm(FlaskForm):  # type: ignore[misc]
    label = StringField("What it is for", [Length(max=100)])
    scope = SelectField("Its holder may", default="submit")
    own = BooleanField("Only my own jobs")
    days = IntegerField("Valid for", [InputRequired("Say how many days."), NumberRange(1, 3660)], default=90)

    def __init__(self, *given: Any, **fields: Any) -> None:
        super().__init__(*given, **fields)
        rights = current_user.rights
        self.scope.choices = [(scope, words) for scope, words in _SAYS.items() if rights.may(scope)]


def make(services: Services) -> Blueprint:
    pages = Blueprint("account", __name__, url_prefix="/account")

    def page(status: int = 200, **changed: Any) -> Response:
        """The page, with forms as they were sent and what was made."""
        forms = {"form": ChangePasswordForm(formdata=None), "token_form": TokenForm(formdata=None)} | changed
        tokens, has = services.tokens.all(current_user.id), services.allowances.view(current_user.id)
        return Response(render_template("dashboard/account.html", tokens=tokens, has=has, **forms), status)

    @pages.get("")
    def account() -> Response:
        return page(changed=request.args.get("changed"))

    @pages.post("/password")
    def password() -> AnyResponse:
        form = ChangePasswordForm()
        chosen = form.chosen()
        if not chosen:
            return page(422, form=form)
        try:
            person = services.people.change_password(current_user.id, form.old.data, chosen)
        except BadRequest as error:
            form.password.errors = [str(error)]
            return page(422, form=form)
        if person is None:
            form.old.errors = ["This is not your present password."]
            return page(403, form=form)
        enter(person)  # this browser stays in; all others are out
        return redirect(url_for("account.account", changed="password"), 303)

    @pages.post("/logout")
    def logout() -> AnyResponse:
        services.people.end_sessions(current_user.id)
        return redirect(url_for("doors.login"), 303)

    @pages.post("/tokens")
    def token_made() -> Response:
        form = TokenForm()
        if not form.validate_on_submit():
            return page(422, token_form=form)
        wanted = ApiTokenRequest(
            label=form.label.data or "", scope=form.scope.data, own=form.own.data, valid_days=float(form.days.data)
        )
        return page(201, made=new_token(services, in_session(request), wanted))

    @pages.post("/tokens/<token>/revoke")
    def token_revoked(token: str) -> AnyResponse:
        token_revoke(services, in_session(request), None, token)
        return redirect(url_for("account.account", _anchor="tokens"), 303)

    return pages
