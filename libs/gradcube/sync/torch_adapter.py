"""A torch model seen as one flat float32 vector of parameters and one of gradients. The only torch in `sync`."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

FloatArray = NDArray[np.float32]


class FlatModel:
    """Moves a model's parameters and gradients into one buffer each, of which the model's own become views.

    A parameter that is shared (tied embeddings) is counted once. Raises ValueError for parameters that are not
    float32 on the CPU. `flat.load(parameters)`, forward, backward, `flat.gradient()`, `flat.zero_gradient()`.
    """

    def __init__(self, model: nn.Module) -> None:
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        for parameter in self._parameters:
            if parameter.dtype != torch.float32 or parameter.device.type != "cpu":
                raise ValueError(f"parameter is {parameter.dtype} on {parameter.device}: float32 on the CPU is needed")
        self.size = sum(parameter.numel() for parameter in self._parameters)
        """Number of parameters, P."""
        self._values = torch.empty(self.size)
        self._gradients = torch.zeros(self.size)
        self._views: list[torch.Tensor] = []
        offset = 0
        for parameter in self._parameters:
            place = slice(offset, offset := offset + parameter.numel())
            value = self._values[place].view_as(parameter)
            value.copy_(parameter.detach())
            parameter.data = value
            self._views.append(self._gradients[place].view_as(parameter))
            parameter.grad = self._views[-1]

    def parameters(self) -> FloatArray:
        """The parameters (P,), a live view: changing it changes the model."""
        return self._values.numpy()

    def load(self, parameters: FloatArray) -> None:
        """Copies `parameters` (P,) into the model."""
        if parameters.shape != (self.size,):
            raise ValueError(f"parameters have shape {parameters.shape}, the model needs ({self.size},)")
        np.copyto(self._values.numpy(), parameters)

    def gradient(self) -> FloatArray:
        """The gradients (P,) of the last backward, a live view; 0 where a parameter has none."""
        for parameter, view in zip(self._parameters, self._views, strict=True):
            # zero_grad(set_to_none=True) made backward allocate anew: bring those home.
            if parameter.grad is None:
                view.zero_()
            elif parameter.grad.data_ptr() != view.data_ptr():
                view.copy_(parameter.grad)
            parameter.grad = view
        return self._gradients.numpy()

    def zero_gradient(self) -> None:
        """Sets all gradients to 0, in place of `optimizer.zero_grad()`."""
        self.gradient()
        self._gradients.zero_()
