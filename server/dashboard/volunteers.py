"""Adding a volunteer: an enrolment link, and the one command to hand on."""

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask_login import current_user
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import BooleanField, IntegerField, StringField
from wtforms.validators import InputRequired, Length, NumberRange

from dockercomp.protocol.views import TokenAnswer, TokenRequest
from server.api.authentication import in_session
from server.api.clients import invitation
from server.api.people import revoke_enrolment
from server.api.services import Services


class VolunteerForm(FlaskForm):  # type: ignore[misc]
    owner = StringField("Owner", [InputRequired("Say whose machines these are."), Length(max=100)])
    uses = IntegerField("Machines", [InputRequired("Say how many."), NumberRange(1, 10_000)], default=10)
    days = IntegerField("Valid for", [InputRequired("Say how many days."), NumberRange(1, 3650)], default=30)
    trusted = BooleanField("Trusted: one result of these machines decides")


def make(services: Services) -> Blueprint:
    pages = Blueprint("volunteers", __name__, url_prefix="/volunteers")

    def page(form: VolunteerForm, status: int = 200, made: TokenAnswer | None = None) -> Response:
        tokens = services.enrolment.tokens() if current_user.rights.may("admin") else []
        return Response(render_template("dashboard/volunteers.html", form=form, made=made, tokens=tokens), status)

    @pages.get("")
    def volunteers() -> Response:
        return page(VolunteerForm())

    @pages.post("")
    def invite() -> Response:
        form = VolunteerForm()
        if not form.validate_on_submit():
            return page(form, 422)
        wanted = TokenRequest(
            owner=form.owner.data.strip(),
            uses=form.uses.data,
            valid_hours=24.0 * form.days.data,
            trusted=form.trusted.data,
        )
        return page(form, 201, invitation(services, in_session(request), wanted))

    @pages.post("/<token>/revoke")
    def revoke(token: str) -> AnyResponse:
        revoke_enrolment(services, token, retire="retire" in request.form)
        return redirect(url_for("volunteers.volunteers", _anchor="tokens"), 303)

    return pages
