"""The program on the rented machine: the standard library alone. `docs/pod.md` is its contract with the site."""
