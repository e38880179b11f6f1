"""How training scales: measured on this machine, and by a model of step and all-reduce on paper."""
