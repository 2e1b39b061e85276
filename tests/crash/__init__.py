"""Workers that run graphs and are killed with SIGKILL, and what must hold whenever that happens."""
