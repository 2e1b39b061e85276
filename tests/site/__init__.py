"""The documents as a site: what is generated in them, and what was built of them."""
