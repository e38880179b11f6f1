"""What a month's new claims cost, against building everything anew."""
