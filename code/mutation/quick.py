"""A plugin of pytest: to know that a test fails is enough; Hypothesis need not look for the least example."""

import hypothesis

PHASES = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
hypothesis.settings.register_profile("mutants", phases=PHASES)
hypothesis.settings.load_profile("mutants")
