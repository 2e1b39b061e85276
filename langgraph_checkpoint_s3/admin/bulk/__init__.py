"""Operations on many checkpoints or threads at once."""
