"""The TensorFlow backend: BERT as plain variables under BERT's own names."""

import os
from unittest.mock import patch

# TensorFlow loads Keras, which is half of its start, unless it is asked for an older Keras that is not there.
# Horovod reads the same setting later on and needs Keras, so it is put back.
with patch.dict(os.environ, {"TF_USE_LEGACY_KERAS": "1"}):
    import tensorflow  # noqa: F401
