"""What all programs have in common. Of ours it imports schemas alone."""
