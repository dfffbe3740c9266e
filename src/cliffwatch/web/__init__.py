"""The pages: what people see and do in a browser.

Takes the services of a running installation; gives one ASGI application that renders HTML on the server, with htmx for
the live parts. Never decides anything that a service should, never asks another server, and needs no inline script.
"""

from cliffwatch.web.app import create_pages

__all__ = ["create_pages"]
