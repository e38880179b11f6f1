"""TensorFlow's own settings for one process of a run."""

from __future__ import annotations

import tensorflow as tf

from trainer.core.backend_rules import gpu_of, threads_per_process
from trainer.core.world import World
from trainer.tf_backend.towers import Towers


def configure(world: World) -> Towers:
    """Threads, one GPU a process, operations that repeat to the bit. Call before anything runs.

    Raises ContractError where there is no GPU for this process.
    """
    threads = threads_per_process()
    gpus = tf.config.list_physical_devices("GPU")
    tf.config.threading.set_intra_op_parallelism_threads(threads if gpus else 1)
    tf.config.threading.set_inter_op_parallelism_threads(1 if gpus else threads)
    tf.config.experimental.enable_op_determinism()
    # A product fused with its bias takes longer in bfloat16 on a CPU than the two by themselves.
    tf.config.optimizer.set_experimental_options({"remapping": False})
    if gpus:
        gpu = gpus[gpu_of(world, len(gpus))]
        tf.config.set_visible_devices(gpu, "GPU")
        tf.config.experimental.set_memory_growth(gpu, True)
    return Towers(1 if gpus else threads)
