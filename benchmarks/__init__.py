"""Speed, overhead and memory of what this project does, as ratios against plain alternatives in one run."""
