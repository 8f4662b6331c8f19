"""People: who has an account, with which role, and everybody's tokens. For admins."""

from typing import Any, get_args

import msgspec
from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import SelectField, StringField
from wtforms.validators import InputRequired

from dockercomp.protocol.errors import BadRequest, Conflict
from dockercomp.protocol.people import PasswordLink, PersonRequest, Role, RoleChange
from server.api import people as api
from server.api.authentication import in_session
from server.api.services import Services

ROLES: tuple[Role, ...] = get_args(Role)


class PersonForm(FlaskForm):  # type: ignore[misc]
    name = StringField("Name", [InputRequired("Enter a name.")])
    role = SelectField("Role", choices=ROLES, default="scientist")


def make(services: Services) -> Blueprint:
    pages = Blueprint("people", __name__, url_prefix="/people")

    def page(status: int = 200, **changed: Any) -> Response:
        context = {"form": PersonForm(formdata=None), "made": None, "refused": ""} | changed
        everybody, tokens = services.people.all(), services.tokens.all()
        html = render_template("dashboard/people.html", people=everybody, tokens=tokens, roles=ROLES, **context)
        return Response(html, status)

    @pages.get("")
    def people() -> Response:
        return page()

    @pages.post("")
    def add() -> Response:
        form = PersonForm()
        if not form.validate_on_submit():
            return page(422, form=form)
        try:
            wanted = msgspec.convert({"name": form.name.data, "role": form.role.data}, PersonRequest)
            made = api.person_added(services, wanted)
        except msgspec.ValidationError:
            form.name.errors = ["A name has at most 64 letters, digits and . _ @ + -, the first a letter or digit."]
            return page(422, form=form)
        except Conflict as error:
            form.name.errors = [f"{str(error).capitalize()}."]
            return page(409, form=form)
        return page(201, made=made)

    @pages.post("/<person>/role")
    def role(person: str) -> AnyResponse:
        wanted = request.form.get("role", "")
        if wanted not in ROLES:
            raise BadRequest("There is no such role.")
        return changed(lambda: api.person_role(services, in_session(request), RoleChange(role=wanted), person))

    @pages.post("/<person>/remove")
    def remove(person: str) -> AnyResponse:
        return changed(lambda: api.person_remove(services, in_session(request), None, person))

    @pages.post("/<person>/link")
    def link(person: str) -> Response:
        made: PasswordLink = api.password_link(services, person)
        return page(201, made=made)

    @pages.post("/<person>/logout")
    def logout(person: str) -> AnyResponse:
        return changed(lambda: api.person_logout(services, in_session(request), None, person))

    @pages.post("/tokens/<token>/revoke")
    def token_revoked(token: str) -> AnyResponse:
        return changed(lambda: api.token_revoke(services, in_session(request), None, token))

    def changed(change: Any) -> AnyResponse:
        """Back to the page; with the reason where the last admin would go."""
        try:
            change()
        except Conflict as error:
            return page(409, refused=str(error))
        return redirect(url_for("people.people"), 303)

    return pages
