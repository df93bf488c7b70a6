"""What is known early, and nothing of what comes later."""


def early(metrics, until):
    """Means over the rows up to a step."""
    updates = metrics["update_step"]
    found = {"return": float(metrics["return"][metrics["step"] <= until].mean())}
    for name, rows in metrics.items():
        if name not in ("step", "return", "length", "update_step") and len(rows) == len(updates):
            found[name] = float(rows[updates <= until].mean())
    return found
