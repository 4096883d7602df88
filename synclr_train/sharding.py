"""Networks split over devices (FSDP2), and whole tensors out of them and back.

Each device keeps its part of every parameter, its optimiser state and the teacher's copy, and gathers a block's
weights only while the block runs. Parts of student and teacher lie alike, so the teacher's update needs no exchange.
Resume points hold whole tensors: a run may continue with another strategy or number of devices.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from synclr_train.backbone import MaskedBackbone


def shard(networks: nn.ModuleDict, mesh: DeviceMesh) -> None:
    """Split the parameters of every network over the mesh, in place; blocks of a ViT are gathered one by one.

    All devices must hold the same parameters before.
    """
    for network in networks.values():
        if isinstance(network, MaskedBackbone):
            for block in network.vit.blocks:
                fully_shard(block, mesh=mesh, reshard_after_forward=True)
        # Said again: by default an outermost module waits for its backward pass, which a teacher never has.
        fully_shard(network, mesh=mesh, reshard_after_forward=True)


def whole(tensor: Tensor) -> Tensor:
    """The tensor with the parts of all devices, which must all ask for it; a tensor that is not split, itself."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def own_part(tensor: Tensor) -> Tensor:
    """This device's part of a split tensor, sharing its memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole_tensors(tensors: dict[str, Any], *, keep: bool) -> dict[str, Any]:
    """A state dict of whole tensors on the CPU, gathered one after another; empty where they are not kept.

    Devices that hold a part must all ask.
    """
    gathered = {}
    for name, tensor in tensors.items():
        complete = whole(tensor)
        if keep:
            gathered[name] = complete.detach().cpu()
    return gathered


def whole_optimiser(state: dict[str, Any], *, keep: bool) -> dict[str, Any]:
    """An optimiser's state dict with whole tensors on the CPU, in the same way."""
    return {
        **state,
        "state": {number: whole_tensors(each, keep=keep) for number, each in state["state"].items()},
    }


def split_optimiser(optimiser: torch.optim.Optimizer) -> None:
    """Split an optimiser's whole tensors as its parameters are, in place; does nothing where these are whole."""
    for parameter, state in optimiser.state.items():
        if not isinstance(parameter, DTensor):
            continue
        for name, tensor in state.items():
            if tensor.shape == parameter.shape and not isinstance(tensor, DTensor):
                state[name] = distribute_tensor(tensor, parameter.device_mesh, parameter.placements)
