"""View models: frozen values that templates show, made from the services' values by pure functions.

Takes values of other rooms and `now`; gives texts, figures and shapes, ready to print. Never asks a service.
"""
