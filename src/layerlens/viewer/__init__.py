"""The page's JavaScript and CSS, one source for the file and the notebook."""
