"""Where images come from: one module a form of data set, and what they share.

Nothing is imported here, so that naming the forms does not import torch.
"""
