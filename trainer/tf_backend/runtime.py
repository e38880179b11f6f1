"""TensorFlow's own settings for one process of a run."""

from __future__ import annotations

import tensorflow as tf

from trainer.core.backend_rules import threads_per_process
from trainer.core.world import World


def configure(world: World) -> None:
    """Threads, one GPU a process, operations that repeat to the bit. Call before anything runs."""
    tf.config.threading.set_intra_op_parallelism_threads(threads_per_process())
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    # A product fused with its bias takes longer in bfloat16 on a CPU than the two by themselves.
    tf.config.optimizer.set_experimental_options({"remapping": False})
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        tf.config.set_visible_devices(gpus[world.local_rank], "GPU")
        tf.config.experimental.set_memory_growth(gpus[world.local_rank], True)
