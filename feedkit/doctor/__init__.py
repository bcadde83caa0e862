"""Is the service well? Checks from the outside, as the app asks, and from the inside, each with
what to do where it fails. Nothing is changed by them."""
