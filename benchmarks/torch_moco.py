"""MoCo v2 in PyTorch, with and without the paper's rationale: the formulas of ours.

As good as plain PyTorch is: fused momentum SGD, the twin's update in one pass over each parameter,
no gradients for the twin, either memory format. `tests/test_benchmarks.py` holds losses and updates
of both to be the same.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Block(nn.Module):
    """A residual block by torchvision's names; a bottleneck where `expansion` is 4."""

    def __init__(self, channels: int, width: int, stride: int, expansion: int) -> None:
        super().__init__()
        out = width * expansion
        bottleneck = expansion > 1
        plan = [(channels, width, 1, 1), (width, width, 3, stride), (width, out, 1, 1)]
        if not bottleneck:
            plan = [(channels, width, 3, stride), (width, width, 3, 1)]
        self.count = len(plan)
        for number, (into, outof, kernel, step) in enumerate(plan, 1):
            conv = nn.Conv2d(into, outof, kernel, step, kernel // 2, bias=False)
            setattr(self, f"conv{number}", conv)
            setattr(self, f"bn{number}", nn.BatchNorm2d(outof))
        self.downsample: Any = nn.Identity()
        if stride > 1 or channels != out:
            conv = nn.Conv2d(channels, out, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(out))

    def forward(self, x):
        y = x
        for number in range(1, self.count + 1):
            y = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(y))
            if number < self.count:
                y = F.relu(y, inplace=True)
        return F.relu(y + self.downsample(x), inplace=True)


class ResNet(nn.Module):
    """A ResNet's feature map of RGB 0..255, by torchvision's names."""

    def __init__(
        self, blocks: Sequence[int] = (2, 2, 2, 2), bottleneck: bool = False, width: int = 64
    ) -> None:
        super().__init__()
        self.register_buffer("mean", 255 * torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", 255 * torch.tensor(STD)[:, None, None], persistent=False)
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        channels, expansion = width, 4 if bottleneck else 1
        for stage, count in enumerate(blocks):
            made = []
            for number in range(count):
                stride = 2 if stage > 0 and number == 0 else 1
                made.append(Block(channels, width * 2**stage, stride, expansion))
                channels = width * 2**stage * expansion
            setattr(self, f"layer{stage + 1}", nn.Sequential(*made))
        self.stages, self.channels = len(blocks), channels

    def forward(self, images):
        x = F.relu(self.bn1(self.conv1((images - self.mean) / self.std)), inplace=True)
        x = F.max_pool2d(x, 3, 2, 1)
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return x


def resnet(name: str) -> ResNet:
    """A ResNet-18 or a ResNet-50."""
    return ResNet() if name == "resnet18" else ResNet((3, 4, 6, 3), bottleneck=True)


class Branch(nn.Module):
    """The rationale's branch: the strongest detector at each place, scaled to 0..1 an image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(1)
        self.bn.requires_grad_(False)

    def forward(self, feature_map):
        scores = self.bn(self.conv(feature_map)).amax(1)
        fires = (scores > 0).flatten(1).any(1)[:, None, None]
        return scaled(torch.where(fires, scores.relu(), scores), 1e-7)


def scaled(maps: torch.Tensor, epsilon: float) -> torch.Tensor:
    """Each map less its minimum, over its maximum."""
    shifted = maps - maps.amin((1, 2), keepdim=True)
    return shifted / (epsilon + shifted.amax((1, 2), keepdim=True))


class MoCo(nn.Module):
    """A training step of momentum contrast on views `(B, 3, H, W)`, RGB 0..255.

    Args:
        make: a backbone; called twice, for the trained one and its twin.
        rationale: whether the branch is fitted to the GradCAM of the loss, as in the paper.
        channels_last: the memory format.
        queue_size, momentum, temperature, rate: as of the method.
    """

    fit_temperature = 0.4

    def __init__(
        self,
        make: Any,
        rationale: bool = False,
        channels_last: bool = False,
        queue_size: int = 1024,
        momentum: float = 0.999,
        temperature: float = 0.2,
        rate: float = 0.03,
    ) -> None:
        super().__init__()
        self.trained, self.twin = self._network(make), self._network(make)
        self.twin.load_state_dict(self.trained.state_dict())
        self.twin.requires_grad_(False)
        self.branch = Branch(self.trained[0].channels) if rationale else None
        self.register_buffer("queue", F.normalize(torch.randn(queue_size, 128)))
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.format)
        self.momentum, self.temperature, self.pointer = momentum, temperature, 0
        trained = [each for each in self.parameters() if each.requires_grad]
        self.optimizer = torch.optim.SGD(trained, rate, momentum=0.9, fused=True)

    @staticmethod
    def _network(make):
        backbone = make()
        width = backbone.channels
        head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 128))
        return nn.ModuleList([backbone, head]).train()

    def step(self, query: torch.Tensor, key: torch.Tensor) -> float:
        """One training step; returns the total loss."""
        query, key = (each.contiguous(memory_format=self.format) for each in (query, key))
        with torch.no_grad():
            own, others = list(self.twin.parameters()), list(self.trained.parameters())
            torch._foreach_lerp_(own, others, 1 - self.momentum)
            keys = F.normalize(self.twin[1](self.twin[0](key).mean((2, 3))))
        feature_map = self.trained[0](query)
        queries = F.normalize(self.trained[1](feature_map.mean((2, 3))))
        positives = (queries * keys).sum(1, keepdim=True)
        logits = torch.cat([positives, queries @ self.queue.T], 1) / self.temperature
        loss = F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long))
        if self.branch is not None:
            (gradient,) = torch.autograd.grad(loss, feature_map, retain_graph=True)
            loss = loss + self.fit(feature_map.detach(), gradient)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        places = (self.pointer + torch.arange(len(keys))) % len(self.queue)
        self.queue[places] = keys
        self.pointer = (self.pointer + len(keys)) % len(self.queue)
        return float(loss.detach())

    def fit(self, feature_map: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        """Divergence of the branch's map from the GradCAM, each a softmax over places."""
        cam = (-(feature_map * gradient).sum(1)).relu()
        maps = (scaled(cam, 1e-20), self.branch(feature_map))
        target, found = (F.log_softmax(m.flatten(1) / self.fit_temperature, 1) for m in maps)
        return F.kl_div(found, target, reduction="batchmean", log_target=True)
