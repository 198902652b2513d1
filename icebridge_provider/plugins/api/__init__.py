"""The FastAPI app below ``/icebridge``: closed unless a route says otherwise."""
