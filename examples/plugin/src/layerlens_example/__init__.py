"""A reducer and a sink for layerlens, in a package of their own."""
