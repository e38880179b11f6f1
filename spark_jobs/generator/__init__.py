"""The claims generator: a disease model in a readable file, and a simulator that draws patients from it.

`disease_model.yaml` says what is planted; `model_file` reads and checks it; `block.simulate_block` draws one
block of patients with NumPy alone: courses → visits → codes. Spark only spreads the blocks (`frames`).
"""
