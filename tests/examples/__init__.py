"""The examples do what they say, each in a process of its own, as a reader would run them."""
