"""`python -m langgraph_checkpoint_s3`: the command line."""

from langgraph_checkpoint_s3.cli import main

if __name__ == "__main__":
    main()
