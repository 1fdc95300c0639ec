"""The plugins that come with emtkit; they pass the same gate as anybody's."""
