"""Adding a volunteer: an enrolment link, and the one command to hand on."""

from flask import Blueprint, Response, render_template
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import IntegerField, StringField
from wtforms.validators import InputRequired, Length, NumberRange

from dockercomp.protocol.errors import Forbidden
from dockercomp.protocol.views import TokenRequest
from server.api.clients import invitation
from server.api.services import Services


class VolunteerForm(FlaskForm):  # type: ignore[misc]
    owner = StringField("Owner", [InputRequired("Say whose machines these are."), Length(max=100)])
    uses = IntegerField("Machines", [InputRequired("Say how many."), NumberRange(1, 10_000)], default=10)
    days = IntegerField("Valid for", [InputRequired("Say how many days."), NumberRange(1, 3650)], default=30)


def make(services: Services) -> Blueprint:
    pages = Blueprint("volunteers", __name__, url_prefix="/volunteers")

    @pages.get("")
    def volunteers() -> str:
        return render_template("dashboard/volunteers.html", form=VolunteerForm(), made=None)

    @pages.post("")
    def invite() -> Response:
        if current_user.role != "admin":
            raise Forbidden("only an admin can make enrolment links")
        form = VolunteerForm()
        if not form.validate_on_submit():
            return Response(render_template("dashboard/volunteers.html", form=form, made=None), 422)
        request = TokenRequest(owner=form.owner.data.strip(), uses=form.uses.data, valid_hours=24.0 * form.days.data)
        made = invitation(services, request)
        return Response(render_template("dashboard/volunteers.html", form=form, made=made), 201)

    return pages
