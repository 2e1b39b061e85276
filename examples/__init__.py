"""Examples of LangGraph graphs that keep their checkpoints in S3; `README.md` says what each one shows."""
