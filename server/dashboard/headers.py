"""The headers that lock a page down: nothing inline, nothing from other hosts, no framing."""

from flask import Response

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # Bootstrap's own icons
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


def harden(response: Response) -> Response:
    """Every page gets them, also the API's; nosniff is for all answers."""
    response.headers["X-Content-Type-Options"] = "nosniff"
    if response.mimetype == "text/html":
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Frame-Options"] = "DENY"
        # same-origin, not no-referrer: over HTTPS the CSRF check wants to see where a form came from.
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        response.headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
        response.headers["Cache-Control"] = "no-store"
    return response


def only_https(response: Response) -> Response:
    """Where the master is reached by TLS: browsers never fall back to plain HTTP (RFC 6797)."""
    response.headers["Strict-Transport-Security"] = "max-age=31536000"
    return response
