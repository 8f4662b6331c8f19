"""What master, worker and scientist agree on: messages, routes, errors, signatures. Imports nothing else of ours."""
