"""Safety: agents that do what was written and not what was meant, and what helps."""
