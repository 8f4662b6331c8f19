"""The dashboard: pages for admins and scientists."""

from flask import Flask
from flask_limiter import Limiter
from flask_login import LoginManager

from server.api.services import Services
from server.people import People


def register(app: Flask, services: Services, people: People, limiter: Limiter, login: LoginManager) -> None:
    """Add the dashboard's pages to the application."""
