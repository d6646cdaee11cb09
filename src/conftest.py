"""What pytest leaves out when it looks for doctests: modules that need a package of their own."""

collect_ignore = ["layerlens/integrations"]
