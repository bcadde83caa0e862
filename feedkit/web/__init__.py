"""What answers HTTP: the XRPC methods that the app calls, and a plain page for people."""
