"""Write TensorFlow checkpoints, in a process of its own: `<name>.npz` becomes `<name>/model.ckpt-7`.

Takes the folder of the .npz files. An .npz names its arrays with `|` for `/` and `;` for `:`.
"""

import os
import sys

import numpy as np
import tensorflow as tf


def main(folder):
    for file in sorted(os.listdir(folder)):
        name, extension = os.path.splitext(file)
        if extension == ".npz":
            stored = np.load(f"{folder}/{file}")
            names = [key.replace("|", "/").replace(";", ":") for key in stored.files]
            os.makedirs(f"{folder}/{name}")
            tf.raw_ops.SaveV2(
                prefix=f"{folder}/{name}/model.ckpt-7",
                tensor_names=names,
                shape_and_slices=[""] * len(names),
                tensors=[stored[key] for key in stored.files],
            )


if __name__ == "__main__":
    main(sys.argv[1])
