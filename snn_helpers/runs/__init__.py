"""Long runs: by a recipe, from the command line, with files, checkpoints and several processes."""
