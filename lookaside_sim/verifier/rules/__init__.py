"""The verifier's rules, one module a subject; one function a violation or a few that belong together."""
