"""A CNN cut into the layers of neurons that it becomes; what cannot become one is refused, with what to do instead."""

from torch import nn

WEIGHTS = nn.Conv2d, nn.Linear
_KEPT = nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Flatten
_DROPPED = nn.Dropout, nn.Dropout2d, nn.Identity
# what a chain often holds and a spiking network cannot, with what to do about it
_REMEDIES = {
    (nn.MaxPool2d, nn.AdaptiveMaxPool2d): "the largest of several spikes is not the spike of the largest rate. Put "
    "AvgPool2d in its place and train again.",
    (nn.BatchNorm2d, nn.BatchNorm1d, nn.LayerNorm, nn.GroupNorm): "it shifts and scales, which a neuron cannot. Train "
    "without it, or fold it into the weights (torch.nn.utils.fuse_conv_bn_eval), which leaves a bias to remove.",
    (nn.Softmax, nn.LogSoftmax): "it changes the scores, not their order, and most spikes win. Leave it out.",
    (nn.Sigmoid, nn.Tanh, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Softplus, nn.ReLU6): "a firing "
    "rate is 0 or a straight line, as ReLU is. Put ReLU in its place and train again.",
}


def blocks(name, cnn):
    """The chain cut at each ReLU: a Sequential each, with one weight layer; refuses what cannot be converted."""
    if not isinstance(cnn, nn.Sequential):
        raise TypeError(
            f"{name}: cnn must be an nn.Sequential, got {type(cnn).__name__}. Write its layers as one chain."
        )
    done, open_block = [], []
    for place, module in _flat(cnn):
        where = f"{name}: layer {place} is {type(module).__name__}"
        if isinstance(module, nn.ReLU):
            done.append(open_block)
            open_block = []
        elif isinstance(module, WEIGHTS + _KEPT):
            if getattr(module, "bias", None) is not None and module.bias.any():
                raise ValueError(
                    f"{where} with a bias, which would have to be divided by its layer's scale, and is not. "
                    "Train again with bias=False."
                )
            if isinstance(module, WEIGHTS) and "weight" not in dict(module.named_parameters(recurse=False)):
                raise ValueError(  # what is scaled here would be forgotten
                    f"{where} whose weight is computed at each call (weight_norm, for instance). First make a plain "
                    "parameter of it: torch.nn.utils.parametrize.remove_parametrizations."
                )
            if isinstance(module, WEIGHTS) and any(module is other for block in [*done, open_block] for other in block):
                raise ValueError(f"{where} for a second time. Give each layer its own weights: each has its own scale.")
            open_block.append(module)
        elif not isinstance(module, _DROPPED):
            remedy = next((text for kinds, text in _REMEDIES.items() if isinstance(module, kinds)), None)
            known = "it is not known here. A chain may hold Conv2d, Linear, ReLU, AvgPool2d, Flatten and Dropout."
            raise ValueError(f"{where}: {remedy or known}")
    done += [open_block] if open_block or not done else []
    for i, block in enumerate(done, 1):
        weights = sum(isinstance(module, WEIGHTS) for module in block)
        if weights != 1:
            raise ValueError(
                f"{name}: each layer of neurons wants one Conv2d or Linear before its ReLU, number {i} has {weights}. "
                "Put a ReLU between two weight layers, and a Linear at the end."
            )
    return [nn.Sequential(*block) for block in done]


def _flat(sequential, prefix=""):
    for place, module in sequential._modules.items():  # named_children() would leave out a ReLU that is used twice
        if type(module) is nn.Sequential:
            yield from _flat(module, f"{prefix}{place}.")
        else:
            yield f"{prefix}{place}", module
