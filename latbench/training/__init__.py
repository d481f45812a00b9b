"""What a search trains and evaluates: data, supernets, scores, checkpoints, callbacks, the task.

Nothing is imported here, so that naming a task or a callback does not import torch.
"""
