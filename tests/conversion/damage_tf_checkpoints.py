"""Damage a TensorFlow checkpoint at random, again and again, and print what reading it gave, as JSON.

Arguments: the prefix, a scratch folder, how often, a seed. All are read as the converter's child reads one.
"""

import collections
import json
import os
import random
import sys

import numpy as np
from safetensors.numpy import load_file

from conversion.checkpoints.tf_checkpoint import _read_in_child


def damaged(content, chance):
    """Bits flipped, the end cut off, or bytes put in."""
    data = bytearray(content)
    place = chance.randrange(len(data))
    kind = chance.choice(["flip", "cut", "insert"])
    if kind == "flip":
        data[place] ^= 1 << chance.randrange(8)
    elif kind == "cut":
        del data[place:]
    else:
        data[place:place] = chance.randbytes(chance.randint(1, 9))
    return bytes(data)


def read(prefix, scratch):
    """The variables; None where the checkpoint was refused."""
    _read_in_child(prefix, scratch)
    with open(f"{scratch}/listing.json") as stream:
        return None if "damaged" in json.load(stream) else load_file(f"{scratch}/variables.safetensors")


def main(prefix, scratch, times, seed):
    chance, folder = random.Random(int(seed)), os.path.dirname(prefix)
    right, found = read(prefix, scratch), collections.Counter()
    contents = {}
    for name in os.listdir(folder):
        if name.startswith(os.path.basename(prefix)):
            with open(f"{folder}/{name}", "rb") as stream:
                contents[name] = stream.read()
    for number in range(int(times)):
        victim = chance.choice(sorted(contents))
        copy = f"{scratch}/{number}"
        os.mkdir(copy)
        for name, content in contents.items():
            with open(f"{copy}/{name}", "wb") as stream:
                stream.write(damaged(content, chance) if name == victim else content)
        variables = read(f"{copy}/{os.path.basename(prefix)}", scratch)
        if variables is None:
            found["refused"] += 1
        else:  # the damage was in an optimiser slot, say
            equal = variables.keys() == right.keys()
            equal = equal and all(np.array_equal(variables[name], right[name]) for name in right)
            found["equal" if equal else "different"] += 1
    sys.stdout.write("\n" + json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
