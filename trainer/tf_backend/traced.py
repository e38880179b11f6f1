"""Functions as TensorFlow graphs."""

from __future__ import annotations

from functools import partial

import tensorflow as tf

# No Python branch or loop here depends on a tensor's value (one that did would raise), so AutoGraph has
# nothing to rewrite. Reading every function for it takes seconds of each process.
traced = partial(tf.function, autograph=False)
