"""emtkit: a comparative study toolkit for working memory in sequence models."""
