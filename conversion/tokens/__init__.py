"""What a model's tokens are: the tokenizer, where its codes come from, and which are alike."""
