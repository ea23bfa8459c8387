"""The storage that several workers share: each writes its own files and reads those of all."""
